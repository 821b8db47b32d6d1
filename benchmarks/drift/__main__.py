"""`python -m benchmarks.drift`: measure the drift monitor and its peers, and render docs/drift.md."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import click

from benchmarks import machine
from benchmarks.drift import bank, cost, flights, ours, page, path, real_page
from benchmarks.drift import rows as data
from benchmarks.drift.bank_calls import SOURCE, read_calls
from benchmarks.environments import HERE, ROOT, environment
from sidecar.cli.one_line_errors import OneLineErrors

RESULTS = HERE / "results"
PAGES = ROOT / "docs"
PEERS = {"alibi_detect": "drift_alibi.py", "evidently": "drift_evidently.py", "nannyml": "drift_nannyml.py"}
AMOUNTS = {"alibi_detect": (50, 20, 48), "evidently": (20, 10, 24), "nannyml": (50, 20, 48)}
"""Windows of each size, trials of each change and hours of the cycle that a peer is asked about."""


OWN = ("null", "changes", "cycle", "low_traffic", "cost", "path", "flights")
BANK = "bank"
"""A part of its own: its rows are not ours to give."""


@click.group(cls=OneLineErrors)
def main() -> None:
    """Measure the drift monitor, beside others on the same rows."""


@main.command()
@click.argument("parts", nargs=-1, type=click.Choice([*OWN, BANK, *PEERS]))
@click.option("--bank-file", type=click.Path(path_type=Path), help=f"For the part {BANK}: {SOURCE}.")
def run(parts: tuple[str, ...], bank_file: Path | None) -> None:
    """Measure PARTS, or everything, and render the pages. Without its file the bank is left out."""
    chosen = parts or everything(bank_file)
    if BANK in chosen:
        read_calls(bank_file)  # what is wrong with it is said before anything takes an hour
    elif not parts:
        print(f"{BANK} is left out: name its file with --bank-file", flush=True)
    for part in chosen:
        print(part, flush=True)
        if part == BANK:
            _save(part, bank.measure(bank_file))
        else:
            _save(part, _OWN[part]() if part in _OWN else _peer(part))
    write()


def everything(bank_file: Path | None) -> tuple[str, ...]:
    """What is measured when nothing is named: all parts, the bank only when its file is there to read."""
    return (*OWN, *((BANK,) if bank_file else ()), *PEERS)


@main.command()
def render() -> None:
    """Render the pages from the results that there are."""
    write()


def write() -> None:
    """Write the pages."""
    for name, text in rendered().items():
        (PAGES / name).write_text(text)
        print(PAGES / name)


def rendered() -> dict[str, str]:
    """The pages by name, from the results that there are."""
    results = {part: _load(part) for part in (*OWN, BANK, *PEERS)}
    return {
        "drift.md": page.render(results),
        "drift-flights.md": real_page.render_flights(results),
        "drift-bank.md": real_page.render_bank(results),
    }


def _null() -> dict[str, Any]:
    reference = ours.still_reference()
    return {"null": [ours.null_windows(reference, size, data.NULL_WINDOWS) for size in data.NULL_ROWS]}


def _changes() -> dict[str, Any]:
    reference = ours.still_reference()
    return {"detection": [ours.detection(reference, one, ours.TRIALS) for one in data.CHANGES]}


def _cycle() -> dict[str, Any]:
    return ours.cycle(data.CYCLE_DAYS)


def _low_traffic() -> dict[str, Any]:
    reference = ours.still_reference()
    return {
        "null": [ours.low_traffic(reference, rows, data.FOUR_WEEKS) for rows in data.LOW_TRAFFIC],
        "detection": [
            ours.low_traffic_detection(reference, one, ours.TRIALS) for one in data.LOW_TRAFFIC_CHANGES
        ],
    }


_OWN = dict(
    zip(
        OWN,
        (_null, _changes, _cycle, _low_traffic, cost.measure, path.measure, flights.measure),
        strict=True,
    )
)


def _peer(name: str) -> dict[str, Any]:
    python = environment(name) / "python"
    amounts = [str(amount) for amount in AMOUNTS[name]]
    done = subprocess.run(  # noqa: S603 - our own command
        [str(python), str(HERE / "peers" / PEERS[name]), *amounts],
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{HERE / 'peers'}",
            "NML_DISABLE_USAGE_LOGGING": "1",  # NannyML phones home otherwise
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _save(part: str, found: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    context = {key: value for key, value in machine.describe().items() if key != "versions"}
    (RESULTS / f"drift_{part}.json").write_text(json.dumps({**context, **found}, indent=1) + "\n")


def _load(part: str) -> dict[str, Any] | None:
    file = RESULTS / f"drift_{part}.json"
    return json.loads(file.read_text()) if file.exists() else None


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.drift")
