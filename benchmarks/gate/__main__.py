"""`python -m benchmarks.gate`: simulate, and render docs/gate.md."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from benchmarks.gate import (
    exploration,
    flights,
    million,
    nulls,
    oracle,
    power,
    refits,
    rollback,
    speed,
    waits,
    whole,
)
from benchmarks.gate.page import PAGE, RESULT, render
from benchmarks.machine import describe

if TYPE_CHECKING:
    from collections.abc import Callable


def _nulls() -> dict[str, Any]:
    return {
        "independent": nulls.looked_at_every_row(),
        "seasonal": nulls.seasonal(),
        "clusters": nulls.in_clusters(),
    }


def _speed() -> dict[str, Any]:
    return {"null": speed.false_passes(), "pass": speed.rows_to_pass(), "flag": speed.rows_to_flag()}


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "nulls": _nulls,
    "power": lambda: {"rows": power.until_promoted()},
    "late": whole.late,
    "hidden": whole.hidden,
    "exploration": lambda: {"better": exploration.until_promoted()},
    "speed": _speed,
    "waits": waits.canaries,
    "refits": refits.recipes,
    "rollback": rollback.after_promotion,
    "oracle": oracle.compare,
    "million": million.measure,
    "flights": flights.replay,
}


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice([*PARTS]))
def main(parts: tuple[str, ...]) -> None:
    """Run PARTS, or all of them, and render the page of all that were ever run."""
    for name in parts or PARTS:
        began = time.perf_counter()
        machine = describe()
        found = PARTS[name]()
        made = {key: machine[key] for key in ("measured", "commit", "changed")}
        RESULT.write_text(json.dumps({**_results(), name: {**found, **made}}, indent=1) + "\n")
        click.echo(f"{name}: {time.perf_counter() - began:.0f} s")
    PAGE.write_text(render(_results()))
    click.echo(PAGE)


def _results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    return found


main(prog_name="python -m benchmarks.gate")
