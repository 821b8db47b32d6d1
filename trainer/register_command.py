"""`trainer register`: an ONNX model from elsewhere becomes a version like any other."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidecar.bundle import open_bundle
from sidecar.cli.numbers import Number
from sidecar.errors import ConfigError
from sidecar.lifecycle import Reason
from trainer.command_line import DATE, Session, with_session
from trainer.days import DAY_NS, day_start, moment
from trainer.golden import TOLERANCE
from trainer.interval import PER
from trainer.promote import register as register_version
from trainer.registration import Given, register_model
from trainer.snapshot import find_snapshot, open_snapshot
from trainer.task import load_task

if TYPE_CHECKING:
    from datetime import datetime

    from trainer.registration import Registered
    from trainer.snapshot import Snapshot

PATH = click.Path(path_type=Path)


@click.command("register")
@click.argument("model", metavar="MODEL.ONNX", type=PATH)
@click.option("--task", "task_path", metavar="TASK", type=PATH, required=True, help="The task it scores for.")
@click.option("--recipe", help="It takes the features of this recipe. Default: it takes raw blocks.")
@click.option(
    "--snapshot",
    "digest",
    help="Gives the recipe's transform, the training profile and the hold-out. Default: the champion's.",
)
@click.option("--score", metavar="OUTPUT", help="The output with the probability, where several may be it.")
@click.option(
    "--trained-until",
    type=DATE,
    metavar="DATE",
    help="The UTC day of the newest row that it was fitted on. Default: not known, and then no row older "
    "than its registration is evidence.",
)
@click.option(
    "--golden",
    type=PATH,
    metavar="FILE",
    help="A .csv or .parquet file of raw fields and the original's score, which the bundle must give too.",
)
@click.option(
    "--tolerance",
    type=Number(min=0),
    default=TOLERANCE,
    show_default=True,
    help="How far its scores may be from the original's.",
)
@click.option("--version", help="The version's name. Default: the file's and the snapshot's.")
@click.option("--why", default="trainer register", show_default=True, help="The reason, for the audit trail.")
@with_session
def register(
    session: Session,
    *,
    model: Path,
    task_path: Path,
    recipe: str | None,
    digest: str | None,
    score: str | None,
    trained_until: datetime | None,
    golden: Path | None,
    tolerance: float,
    version: str | None,
    why: str,
) -> None:
    """Make a version of an ONNX model that was fitted elsewhere.

    It takes the features of a recipe, float32, and gives a probability; or it takes the raw blocks of the
    task's fields. The task's decision rule is written behind it, unless it gives a "decision" itself. It is
    checked for admission; then `trainer shadow` lets it score live traffic, and `trainer promote --first`
    makes it the first champion.
    """
    if trained_until is not None and moment(trained_until) > time.time_ns():
        raise click.UsageError(f"--trained-until {trained_until:%Y-%m-%d} lies in the future")
    task = load_task(task_path)
    given = Given(
        path=model,
        recipe=recipe,
        score=score,
        trained_until_ns=None if trained_until is None else day_start(moment(trained_until)) + DAY_NS - 1,
        golden=golden,
        tolerance=tolerance,
        version=version,
    )
    with session.narrator() as narrator, session.registry() as registry:
        made = register_model(
            task,
            given,
            _snapshot(session, digest),
            bundles=session.config.bundles_path,
            progress=narrator.wait,
        )
        narrator.wait("admission check")
        register_version(registry, made.bundle.path, Reason(session.actor, why))
    model_id = made.bundle.model
    data = {
        "bundle": model_id.digest,
        "path": str(made.bundle.path),
        "version": model_id.version,
        "holdout": asdict(made.measured) if made.measured else None,
        **asdict(made.timed),
        "parity": made.bundle.manifest["parity"],
        "unknown": made.unknown,
    }
    session.show(data, _words(made, task.costs.currency))


def _snapshot(session: Session, digest: str | None) -> Snapshot:
    if digest is None:
        with session.registry() as registry:
            champion = registry.champion()
        if champion is None:
            raise ConfigError("there is no champion whose snapshot could be taken; give --snapshot")
        digest = str(open_bundle(champion.path).manifest.get("snapshot", ""))
    return open_snapshot(find_snapshot(session.config.snapshots_path, digest))


def _words(made: Registered, currency: str) -> str:
    measured, timed, parity = made.measured, made.timed, made.bundle.manifest["parity"]
    lines = [f"{made.bundle.model} is registered and admitted: bundle {made.bundle.model.digest[:12]}"]
    lines.append(
        f"one row takes {timed.cpu_us_p50:,.0f} us of CPU (99th percentile {timed.cpu_us_p99:,.0f} us), "
        f"pipeline.onnx is {timed.bytes / 1e3:,.0f} kB"
    )
    if measured:
        lines.append(
            f"on the {measured.rows:,} rows of the hold-out: {currency} {measured.utility_per_1000:,.0f} per "
            f"{PER:,} [{measured.utility_lower:,.0f}; {measured.utility_upper:,.0f}], AUC {measured.auc:.4f}"
        )
    else:
        lines.append(f"no figures on the hold-out: {made.unknown}")
    given = f"scores differ from the file's by at most {parity['file']['score_difference']:g}"
    if made.golden:
        given += f", on {made.golden.rows:,} golden rows from the original's by {made.golden.difference:.1e}"
    else:
        given += "; without golden rows nobody knows whether the file gives the original's"
    return "\n".join([*lines, given])
