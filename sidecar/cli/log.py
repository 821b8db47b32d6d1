"""`sidecar log`: the log as a person reads it. Works whether a sidecar runs or not."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from sidecar.bundle import open_bundle
from sidecar.cli.log_rows import export, query, seal
from sidecar.cli.numbers import WholeNumber
from sidecar.cli.options import as_json, with_config
from sidecar.errors import BundleError, NotFoundError
from sidecar.exploration import ACTIONS, MOST_SHARE
from sidecar.registry import Registry
from sidecar.store.lookup import LogLookup

if TYPE_CHECKING:
    from sidecar.config import Config
    from sidecar.signature import FieldValue
    from sidecar.store.lookup import ScoreRow, ServedRow

_FOLLOW_SECONDS = 0.5


@click.group()
def log() -> None:
    """Look into the log: predictions, candidates' scores and outcomes."""


@log.command()
@click.option("-n", "--rows", type=WholeNumber(0), default=20, show_default=True, help="How many rows.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written next, until Ctrl-C.")
@with_config
@as_json
def tail(config: Config, *, rows: int, follow: bool, as_json: bool) -> None:
    """Show the predictions written last, oldest first."""
    with LogLookup(config.log_path) as lookup:
        found = lookup.newest(rows)
        newest = found[-1].sequence if found else lookup.last_sequence()
        _print_rows(found, as_json=as_json)
        while follow:
            time.sleep(_FOLLOW_SECONDS)
            found = lookup.after(newest)
            newest = found[-1].sequence if found else newest
            _print_rows(found, as_json=as_json)


@log.command()
@with_config
@as_json
def counts(config: Config, *, as_json: bool) -> None:
    """Count the rows in the log, and what became of the rows of each run of the sidecar.

    lost: rows that were answered and are nowhere, because the process was killed; of a run that goes on,
    rows on their way to the log.
    """
    with LogLookup(config.log_path) as lookup:
        totals, runs = asdict(lookup.counts()), lookup.runs()
    if as_json:
        listed = [{**asdict(run), "lost": run.lost} for run in runs]
        click.echo(json.dumps({**totals, "runs": listed}, indent=1))
        return
    click.echo(", ".join(f"{count:,} {name}" for name, count in totals.items()))
    click.echo()
    columns = ("offered", "written", "sampled_out", "dropped", "failed", "lost")
    table = Table("run started", "ended", *columns, box=None, pad_edge=False)
    for run in runs:
        ended = "goes on" if run.closed_ns is None else _moment(run.closed_ns)
        table.add_row(_moment(run.started_ns), ended, *(f"{getattr(run, name):,}" for name in columns))
    Console().print(table)


@log.command()
@click.argument("request_id")
@with_config
@as_json
def show(config: Config, *, request_id: str, as_json: bool) -> None:
    """Show one prediction: its raw fields, the candidates' scores, and its outcomes."""
    with LogLookup(config.log_path) as lookup:
        served = lookup.served_as(request_id)
        if served is None:
            raise NotFoundError(f"no prediction was logged under {request_id!r}")
        facts = {
            **_prediction(served),
            "fields": _fields(config, served),
            "scores": [_score(found) for found in lookup.scored_as(request_id)],
            "outcomes": [asdict(outcome) for outcome in lookup.outcomes_of(request_id)],
        }
    if as_json:
        click.echo(json.dumps(facts, indent=1))
    else:
        _print_prediction(facts)


for command in (query, export, seal):
    log.add_command(command)


def _print_rows(found: list[ServedRow], *, as_json: bool) -> None:
    for served in found:
        facts = _prediction(served)
        if as_json:
            click.echo(json.dumps(facts))
        else:
            click.echo(
                f"{_moment(facts['event_ns'])}  {facts['score']:.6f}  {_verdict(facts):4}  {facts['model']}"
                f"  {facts['infer_ns'] / 1000:5.0f} us  {facts['request_id']}"
            )


def _prediction(served: ServedRow) -> dict[str, Any]:
    batch, row = served.batch, served.row
    return {
        "request_id": batch.request_ids[row].decode(),
        "model": str(batch.model),
        "digest": batch.model.digest,
        "received_ns": int(batch.received_ns[row]),
        "event_ns": int(batch.event_ns[row]),
        "score": float(batch.score[row]),
        "decision": bool(batch.decision[row]),
        "propensity": float(batch.propensity[row]),
        "queue_ns": int(batch.queue_ns[row]),
        "failed_ns": int(batch.failed_ns[row]),
        "infer_ns": int(batch.infer_ns[row]),
        "cpu_ns": int(batch.cpu_ns[row]),
    }


def _fields(config: Config, served: ServedRow) -> dict[str, FieldValue] | None:
    """The raw fields by name; None when the bundle that names them is gone."""
    with closing(Registry(config.registry_path)) as registry:
        try:
            signature = open_bundle(registry.find(served.batch.model.digest).path).signature
        except (NotFoundError, BundleError):
            return None
    return signature.unpack(served.batch.blocks, served.row)


def _score(found: ScoreRow) -> dict[str, Any]:
    batch, row = found.batch, found.row
    failure = batch.failure[row]
    return {
        "model": str(batch.model),
        "digest": batch.model.digest,
        "score": None if failure else float(batch.score[row]),
        "decision": None if failure else bool(batch.decision[row]),
        "infer_ns": int(batch.infer_ns[row]),
        "cpu_ns": int(batch.cpu_ns[row]),
        "failure": str(failure),
        "detail": batch.detail[row],
    }


def _print_prediction(facts: dict[str, Any]) -> None:
    console = Console(highlight=False, markup=False)
    console.print(f"{facts['request_id']}  {_moment(facts['event_ns'])}")
    console.print(
        f"{facts['model']} scored {facts['score']:.6f}: {_verdict(facts)}; {facts['infer_ns'] / 1000:.0f} us"
    )
    fields = facts["fields"]
    if fields is None:
        console.print("its bundle is gone, so the raw fields have no names")
    else:
        table = Table.grid(padding=(0, 2))
        for name, value in fields.items():
            table.add_row(f"  {name}", "missing" if value is None else str(value))
        console.print(table)
    for score in facts["scores"]:
        if score["failure"]:
            said = f"failed: {score['failure']} {score['detail']}"
        else:
            said = f"scored {score['score']:.6f}: {_verdict(score)}"
        console.print(f"candidate {score['model']} {said}")
    for outcome in facts["outcomes"]:
        value = "" if outcome["value"] is None else f", value {outcome['value']:g}"
        console.print(f"outcome {outcome['label']:g}{value}, observed {_moment(outcome['observed_ns'])}")
    if not facts["outcomes"]:
        console.print("no outcome yet")


def _verdict(facts: dict[str, Any]) -> str:
    """What the rule decided; and what the reply said, where that was the other action."""
    acts = bool(facts["decision"])
    explored = facts.get("propensity", 1.0) < MOST_SHARE
    return ACTIONS[acts] + (f" (explored: {ACTIONS[not acts]})" if explored else "")


def _moment(nanoseconds: int) -> str:
    return f"{datetime.fromtimestamp(nanoseconds / 1e9, UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]
