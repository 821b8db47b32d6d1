"""Conducts probations: what the log says is judged, the decision kept in the registry, and acted upon."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.errors import NotFoundError
from sidecar.lifecycle import ModelState
from trainer.gate import Action
from trainer.judge import champion_of
from trainer.probation.measure import measure_probation
from trainer.probation.verdict import judge_canary, judge_champion
from trainer.promote import act, save
from trainer.stints import share_since_ns, since_ns

if TYPE_CHECKING:
    from sidecar.domain import Deployment
    from sidecar.registry import Registry
    from sidecar.store.reader import LogReader
    from trainer.gate import Decision
    from trainer.probation.facts import Probation
    from trainer.task import Task


@dataclass(frozen=True)
class Conducted:
    """What was found and decided; the deployment where it changes."""

    facts: Probation
    decision: Decision
    deployment: Deployment | None

    @property
    def words(self) -> str:
        """What was decided, and why."""
        decision, newcomer = self.decision, self.facts.newcomer
        done = {
            Action.ROLL_BACK: f"Roll back to {decision.candidate}.",
            Action.RELEASE: f"{newcomer} stays; {decision.candidate} retires.",
            Action.LAPSE: f"{newcomer} stays, unproven; {decision.candidate} retires.",
            Action.REJECT: f"{newcomer} is canary no more, and rejected.",
            Action.CANARY: f"{newcomer} answers more of the calls.",
            Action.PROMOTE: f"{newcomer} becomes the champion.",
            Action.HOLD: f"{newcomer} stays {'on probation' if self.facts.of_champion else 'canary'}.",
        }
        return " ".join([done[decision.action], *decision.reasons])


def conduct(
    task: Task,
    registry: Registry,
    reader: LogReader,
    *,
    actor: str,
    as_of_ns: int | None = None,
    dry_run: bool = False,
) -> list[Conducted]:
    """Judge the champion on probation and the canary, where there are any; keep decisions, and act on them.

    A decision to wait is not kept: there would be one for every look. Where the champion is rolled back, its
    canary is not judged any more. dry_run: change nothing. Raises NotFoundError when neither is there, or
    nothing has been served, and as `champion_of` does.
    """
    champion = champion_of(task, registry).model
    deployment = registry.deployment()
    if deployment.standby is None and deployment.canary is None:
        raise NotFoundError("no former champion stands by and no canary answers; there is nothing to judge")
    decided_ns = time.time_ns()
    found = []
    if deployment.standby is not None:
        facts = measure_probation(
            task,
            reader,
            champion,
            deployment.standby.model,
            as_of_ns=as_of_ns,
            received_since_ns=since_ns(registry, champion.digest, ModelState.CHAMPION),
        )
        decision = judge_champion(facts, task.policy, decided_ns=decided_ns, actor=actor)
        found.append(_settled(task, registry, facts, decision, dry_run=dry_run))
        if decision.action is Action.ROLL_BACK:
            return found
    if deployment.canary is not None:
        canary = deployment.canary.ref.model
        facts = measure_probation(
            task,
            reader,
            canary,
            champion,
            share=deployment.canary.share,
            drawn_by=deployment.canary.by,
            as_of_ns=as_of_ns,
            received_since_ns=since_ns(registry, canary.digest, ModelState.CANARY),
            share_since_ns=share_since_ns(registry, canary.digest),
        )
        decision = judge_canary(facts, task.policy, decided_ns=decided_ns, actor=actor)
        found.append(_settled(task, registry, facts, decision, dry_run=dry_run))
    return found


def _settled(
    task: Task, registry: Registry, facts: Probation, decision: Decision, *, dry_run: bool
) -> Conducted:
    if dry_run or decision.action is Action.HOLD:
        return Conducted(facts, decision, None)
    save(registry, facts, decision, task.policy)
    return Conducted(facts, decision, act(registry, decision, task.policy))
