"""`sidecar status`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from sidecar.cli.admin_call import DEADLINE_SECONDS, admin_stub
from sidecar.cli.options import as_json, with_config
from sidecar.domain import part_words
from sidecar.v1 import admin_pb2

if TYPE_CHECKING:
    from sidecar.config import Config
    from sidecar.v1.prediction_pb2 import ModelIdentity

_FATES = ("written", "sampled_out", "dropped", "failed", "queued", "waiting")
_OTHERS = ("outcomes", "lost_before", "scores_failed")
_COUNTERS = ("served", *_FATES, *_OTHERS)
_OF_A_STAGE = ("p50_ns", "p99_ns", "p999_ns", "max_ns")
_OF_A_CANARY = ("calls", "answered", "failed")
_OF_A_SHADOW = ("scored", "failed", "shed", "queued", "restarts")


@click.command()
@with_config
@as_json
def status(config: Config, *, as_json: bool) -> None:
    """Show what serves, what became of the rows, where the time goes, and how the candidates are doing.

    Asks the running sidecar over its admin listener. served: rows answered, each of which is written,
    sampled_out ([recorder] share), dropped (the ring was full), failed (the log refused it for too long),
    queued (in the ring) or waiting (for the log); lost_before: rows that earlier processes took with them
    when they died; scores_failed: candidates' scores that the log refused for too long. A canary's calls are
    counted since it has its present share. Stages are those of a reply's timings, over all messages since the
    start.
    """
    with admin_stub(config) as stub:
        found = stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=DEADLINE_SECONDS)
    if as_json:
        click.echo(json.dumps(_facts(found), indent=1))
    else:
        _print(found)


def _print(found: admin_pb2.GetStatusResponse) -> None:
    console = Console(highlight=False, markup=False)
    deployment = found.deployment
    champion = _name(deployment.champion) if deployment.HasField("champion") else "none yet; promote one"
    facts = Table.grid(padding=(0, 2))
    facts.add_row("champion", champion)
    if deployment.HasField("canary"):
        part = part_words(deployment.canary_share, deployment.canary_drawn_by)
        facts.add_row("canary", f"{_name(deployment.canary)}, {part}")
        facts.add_row("", _canary_words(found.canary))
    if deployment.HasField("standby"):
        facts.add_row("standby", f"{_name(deployment.standby)}, the champion before, during probation")
    facts.add_row("generation", str(deployment.generation))
    facts.add_row("engine", f"{found.engine} ({found.engine_reason})")
    facts.add_row("since", f"{found.started_time.ToDatetime():%Y-%m-%d %H:%M:%S} UTC")
    fates = " + ".join(f"{getattr(found, name):,} {name}" for name in _FATES)
    facts.add_row("rows", f"{found.served:,} served = {fates}")
    facts.add_row("also", ", ".join(f"{getattr(found, name):,} {name}" for name in _OTHERS))
    facts.add_row("log", found.sealing)
    if found.errors:
        facts.add_row(
            "errors", ", ".join(f"{count:,} {name}" for name, count in sorted(found.errors.items()))
        )
    if found.deploy_error:
        facts.add_row("deploy error", found.deploy_error)
    console.print(facts)
    if any(stage.count for stage in found.stages):
        columns = (f"{name.removesuffix('_ns')} us" for name in _OF_A_STAGE)
        table = Table("stage", "messages", *columns, box=None, pad_edge=False)
        for stage in found.stages:
            table.add_row(
                stage.stage,
                f"{stage.count:,}",
                *(f"{getattr(stage, name) / 1000:,.1f}" for name in _OF_A_STAGE),
            )
        console.print()
        console.print(table)
    if found.shadows:
        table = Table("in the shadow", "as", "state", *_OF_A_SHADOW, box=None, pad_edge=False)
        for shadow in found.shadows:
            counts = (f"{getattr(shadow, name):,}" for name in _OF_A_SHADOW)
            table.add_row(_name(shadow.model), shadow.role, shadow.state, *counts)
        console.print()
        console.print(table)


def _canary_words(counts: admin_pb2.CanaryCounts) -> str:
    """What became of the calls since the canary has its share."""
    drawn = counts.answered + counts.failed
    share = f" ({drawn / counts.calls:.2%})" if counts.calls else ""
    failed = f", {counts.failed:,} of which the champion answered, because it failed" if counts.failed else ""
    return f"{drawn:,} of {counts.calls:,} calls{share} were its own since then{failed}"


def _facts(found: admin_pb2.GetStatusResponse) -> dict[str, Any]:
    deployment = found.deployment
    champion = _identity(deployment.champion) if deployment.HasField("champion") else None
    return {
        "engine": found.engine,
        "engine_reason": found.engine_reason,
        "started_ns": found.started_time.ToNanoseconds(),
        "generation": deployment.generation,
        "champion": champion,
        "candidates": [_identity(candidate) for candidate in deployment.candidates],
        "canary": {
            **_identity(deployment.canary),
            "share": deployment.canary_share,
            "drawn_by": deployment.canary_drawn_by or None,
            **{name: getattr(found.canary, name) for name in _OF_A_CANARY},
        }
        if deployment.HasField("canary")
        else None,
        "standby": _identity(deployment.standby) if deployment.HasField("standby") else None,
        **{name: getattr(found, name) for name in _COUNTERS},
        "errors": dict(found.errors),
        "deploy_error": found.deploy_error,
        "sealing": found.sealing,
        "stages": {
            stage.stage: {"count": stage.count, **{name: getattr(stage, name) for name in _OF_A_STAGE}}
            for stage in found.stages
        },
        "shadows": [
            {
                "model": _identity(shadow.model),
                "role": shadow.role,
                "state": shadow.state,
                **{name: getattr(shadow, name) for name in _OF_A_SHADOW},
            }
            for shadow in found.shadows
        ],
    }


def _identity(model: ModelIdentity) -> dict[str, str]:
    return {"name": model.name, "version": model.version, "digest": model.digest}


def _name(model: ModelIdentity) -> str:
    return f"{model.name}/{model.version}@{model.digest[:8]}"
