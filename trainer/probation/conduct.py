"""Conducts probations: what the log says is judged, the decision kept in the registry, and acted upon."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.errors import NotFoundError
from trainer.gate import Action
from trainer.judge import champion_of
from trainer.probation.measure import measure_probation
from trainer.probation.verdict import judge_canary, judge_champion
from trainer.promote import act, save

if TYPE_CHECKING:
    from sidecar.domain import Deployment, ModelId
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
            Action.REJECT: f"{newcomer} is canary no more, and rejected.",
            Action.CANARY: f"{newcomer} answers more of the calls.",
            Action.PROMOTE: f"{newcomer} becomes the champion.",
            Action.HOLD: f"{newcomer} stays {'on probation' if self.facts.share == 1 else 'canary'}.",
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
        former = deployment.standby.model
        facts = measure_probation(
            task,
            reader,
            champion,
            former,
            as_of_ns=as_of_ns,
            after_ns=_decided_ns(registry, champion, former, (Action.PROMOTE, Action.ROLL_BACK)),
        )
        decision = judge_champion(facts, task.policy, decided_ns=decided_ns, actor=actor)
        found.append(Conducted(facts, decision, _settle(task, registry, facts, decision, dry_run=dry_run)))
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
            as_of_ns=as_of_ns,
            after_ns=_decided_ns(registry, canary, champion, (Action.PROMOTE, Action.ROLL_BACK)),
            share_since_ns=_decided_ns(registry, canary, champion, (Action.CANARY,)) or 0,
        )
        decision = judge_canary(facts, task.policy, decided_ns=decided_ns, actor=actor)
        found.append(Conducted(facts, decision, _settle(task, registry, facts, decision, dry_run=dry_run)))
    return found


def _settle(
    task: Task, registry: Registry, facts: Probation, decision: Decision, *, dry_run: bool
) -> Deployment | None:
    if dry_run or decision.action is Action.HOLD:
        return None
    save(registry, facts, decision, task.policy)
    return act(registry, decision, task.policy)


def _decided_ns(
    registry: Registry, newcomer: ModelId, former: ModelId, actions: tuple[Action, ...]
) -> int | None:
    """Until when the log was known at the newest such decision on these two; None without one.

    Days before a promotion were another matter. Days before a roll-back do not count again: who lets the
    version return by an override knows of them.
    """
    pair = {newcomer.digest, former.digest}
    for stored in reversed(registry.decisions()):
        if stored.action in actions and {stored.champion, stored.candidate} == pair:
            facts = json.loads(stored.evidence_json)
            return int(facts.get("evidence", facts)["query"]["as_of_ns"])
    return None
