"""`trainer monitor`: one look at the champion."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from sidecar.findings import FindingStore
from trainer.command_line import DATE, TASK, Session, nanoseconds_of, with_session
from trainer.judge import champion_of
from trainer.monitor.look import look
from trainer.monitor.view import look_views
from trainer.task import load_task

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sidecar.findings import Finding
    from trainer.monitor.look import Look


@click.command()
@TASK
@click.option(
    "--as-of",
    type=DATE,
    metavar="DATE",
    help="Look back: what was known at this UTC date. Nothing is reported then.",
)
@with_session
def monitor(session: Session, *, task_path: Path, as_of: datetime | None) -> None:
    """Look at the champion's labels, money and fields.

    Says what it is expected to earn on days whose outcomes have not matured, and whether to believe that.
    What it finds is reported to the home's findings, once however often it looks. It promotes nothing.
    """
    task = load_task(task_path)
    with session.narrator() as narrator, session.registry() as registry, session.reader() as reader:
        champion = champion_of(task, registry)
        seen = look(
            task,
            champion,
            reader,
            session.config.snapshots_path,
            as_of_ns=nanoseconds_of(as_of),
            progress=narrator.wait,
        )
    new: list[Finding] = []
    if as_of is None:
        with FindingStore(session.config.findings_path) as findings:
            new = _report(findings, champion.model.digest, seen)
    data = {**asdict(seen), "new": [one.key for one in new], "reported": as_of is None}
    views = look_views(seen, [one.text for one in new], task.costs.currency, kept=as_of is None)
    session.show(data, *views)


def _report(findings: FindingStore, champion: str, seen: Look) -> list[Finding]:
    """Keep what was seen, and close what was found of former champions, at whom nobody looks any more."""
    former = {
        (one.finding.monitor, one.finding.model)
        for one in findings.open()
        if one.finding.monitor in seen.findings and one.finding.model != champion
    }
    for name, model in former:
        findings.report(name, model, [], seen.as_of_ns)
    return [
        one
        for name, found in seen.findings.items()
        for one in findings.report(name, champion, found, seen.as_of_ns)
    ]
