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
    new = []
    if as_of is None:
        with FindingStore(session.config.findings_path) as findings:
            for name, found in seen.findings.items():
                new += findings.report(name, champion.model.digest, found, seen.as_of_ns)
    data = {**asdict(seen), "new": [one.key for one in new], "reported": as_of is None}
    views = look_views(seen, [one.text for one in new], task.costs.currency, kept=as_of is None)
    session.show(data, *views)
