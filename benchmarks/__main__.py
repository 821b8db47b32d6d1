"""`python -m benchmarks`: measure, and render pages from what was measured."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from benchmarks import h2load
from benchmarks.pages.render import write
from benchmarks.results import FULL, PARTIAL, QUICK

if TYPE_CHECKING:
    from benchmarks.results import Plan

MEASUREMENTS = ("throughput", "latency", "request", "shadow", "transform")
"""What `run` runs, in order: the later ones take rates from the first."""


@click.group()
def main() -> None:
    """Measure the sidecar beside its peers."""


def _measure(name: str, plan: Plan, only: tuple[str, ...]) -> None:
    importlib.import_module(f"benchmarks.{name}").measure(plan, only)


@main.command()
@click.argument("names", nargs=-1, type=click.Choice([*MEASUREMENTS, "log", "log_slice", "soak"]))
@click.option("--quick", is_flag=True, help="One short round, to see that it works.")
@click.option("--rounds", type=int, help="Instead of five; the real results stay.")
@click.option("--only", multiple=True, help="A server, by its name; may be repeated; the real results stay.")
def run(names: tuple[str, ...], quick: bool, rounds: int | None, only: tuple[str, ...]) -> None:
    """Measure NAMES, or everything but the log and the soak, and render the pages."""
    if not (names and set(names) <= {"log", "log_slice"}) and not h2load.available():
        sys.exit("h2load is missing: apt-get install nghttp2-client")
    plan = QUICK if quick else FULL
    if (rounds or only) and plan is FULL:
        plan = PARTIAL
    plan = replace(plan, rounds=rounds) if rounds else plan
    for name in names or MEASUREMENTS:
        _measure(name, plan, only)
    write(plan)


@main.command()
@click.option("--quick", is_flag=True, help="The quick run's.")
def render(quick: bool) -> None:
    """Render the pages from the results that there are."""
    write(QUICK if quick else FULL)


main(prog_name="python -m benchmarks")
