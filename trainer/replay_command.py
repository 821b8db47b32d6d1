"""`trainer replay`: a past decision, made again."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from trainer.command_line import TASK, Session, with_session
from trainer.replay import find_decision
from trainer.replay import replay as make_again
from trainer.task import load_task

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.replay import Replay

_SHOWN = 12
DIFFERS = 1
"""Exit code when the decision comes out differently."""


@click.command("replay")
@TASK
@click.argument("decision")
@with_session
@click.pass_context
def replay(context: click.Context, session: Session, task_path: Path, decision: str) -> None:
    """Make a past decision again from the log, and show what differs.

    DECISION is its number in `trainer audit`, or the beginning of its evidence's digest. Exit code 0 when
    evidence, decision and every reason come out the same, bit for bit, and 1 when anything differs.
    """
    task = load_task(task_path)
    with session.registry() as registry, session.reader() as reader:
        stored = find_decision(registry.decisions(), decision)
        found = make_again(task, reader, stored, registry.looks())
    data = {
        "decision": found.stored.sequence,
        "same": not found.differences,
        "evidence_digest": found.stored.evidence_digest,
        "evidence_digest_again": found.again.evidence_digest,
        "differences": [asdict(one) for one in found.differences],
    }
    session.show(data, _words(found))
    if found.differences:
        context.exit(DIFFERS)


def _words(found: Replay) -> str:
    stored = found.stored
    name = f"decision {stored.sequence} ({stored.action} {stored.candidate[:12]})"
    if not found.differences:
        return f"{name} comes out the same, evidence {stored.evidence_digest[:12]}, every reason included."
    lines = [f"  {one.where}: {one.kept} is now {one.again}" for one in found.differences[:_SHOWN]]
    rest = len(found.differences) - _SHOWN
    if rest > 0:
        lines.append(f"  and {rest} more")
    return "\n".join([f"{name} comes out differently:", *lines])
