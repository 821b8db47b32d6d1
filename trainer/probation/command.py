"""`trainer probation`: whether who newly answers calls, a champion or a canary, goes on doing so."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from sidecar.errors import NotFoundError
from sidecar.lifecycle import ModelState, Reason
from trainer.command_line import DATE, TASK, Session, nanoseconds_of, plain, with_session
from trainer.probation.conduct import conduct
from trainer.probation.telling import tell
from trainer.report import evidence_view, waits_view
from trainer.run import activation_words
from trainer.task import load_task

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sidecar.registry import Registry
    from trainer.policy import Policy
    from trainer.probation.conduct import Conducted


@click.command("probation")
@TASK
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option(
    "--as-of",
    type=DATE,
    metavar="DATE",
    help="With --dry-run: what was known at this UTC date. Default: the log's newest event.",
)
@click.option("--end", "why", metavar="WHY", help="End it now: the former champion retires, for this reason.")
@with_session
def probation(
    session: Session, task_path: Path, dry_run: bool, as_of: datetime | None, why: str | None
) -> None:
    """Judge a champion on probation, and a canary, against the one before, which goes on scoring.

    If the one before earns more, or the new one is too slow where it serves, the new one goes: a champion is
    rolled back, a canary rejected. After the policy's probation_days the former champion retires; after
    canary_days a canary answers the next share of the calls, and after the last it becomes champion. What
    cannot be judged is a finding, and ends at the policy's deadline_days, a probation as lapsed. `trainer
    watch` does this by itself. What was rolled back comes back only by `trainer shadow --override`.
    """
    if as_of and not dry_run:
        raise click.UsageError("--as-of looks back: give --dry-run with it")
    if why is not None and dry_run:
        raise click.UsageError("give --dry-run or --end, not both")
    task = load_task(task_path)
    with session.registry() as registry:
        if why is not None:
            _end(session, registry, task.policy, why)
            return
        found: list[Conducted] = []
        try:
            with session.reader() as reader:
                found = conduct(
                    task,
                    registry,
                    reader,
                    actor=session.actor,
                    as_of_ns=nanoseconds_of(as_of),
                    dry_run=dry_run,
                )
        finally:
            if not dry_run:
                tell(session.config.findings_path, registry, found, task.policy)
        views = []
        for one in found:
            words = one.words
            if one.deployment:
                words += f" {activation_words(registry, one.deployment, session.patience_seconds)}"
            sides = ("champion", "former champion") if one.facts.of_champion else ("canary", "champion")
            views += [words, evidence_view(one.facts.evidence, task.policy, sides)]
            views += [waits_view(one.facts.waits, sides)] if one.facts.waits else []
    data = [
        {**plain(asdict(one.decision)), "facts": one.facts.to_json(), "done": bool(one.deployment)}
        for one in found
    ]
    session.show({"probation": data}, *views)


def _end(session: Session, registry: Registry, policy: Policy, why: str) -> None:
    standby = registry.standby()
    if standby is None:
        raise NotFoundError("no former champion stands by, so there is no probation to end")
    moved = registry.move(
        standby.model.digest,
        expected=ModelState.STANDBY,
        to=ModelState.RETIRED,
        reason=Reason(session.actor, why),
    )
    tell(session.config.findings_path, registry, [], policy)
    words = activation_words(registry, registry.deployment(), session.patience_seconds)
    session.show({"retired": asdict(moved.model), "activation": words}, f"{moved.model} retired; {words}")
