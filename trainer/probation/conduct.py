"""Conducts probations: what the log says is judged, the decision kept in the registry, and acted upon."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sidecar.errors import NotFoundError
from sidecar.lifecycle import ModelState
from sidecar.registry import Look
from trainer.gate import Action
from trainer.judge import champion_of
from trainer.probation.measure import measure_probation
from trainer.probation.verdict import judge_canary, judge_champion
from trainer.promote import act, save
from trainer.stints import share_since_ns, since_ns

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.domain import Canary, Deployment, ModelId
    from sidecar.registry import Registry
    from sidecar.store.reader import LogReader
    from trainer.gate import Decision
    from trainer.probation.facts import Probation
    from trainer.task import Task


@dataclass(frozen=True, slots=True)
class Stand:
    """How a probation stands: whose, at which share of the calls, after how many days, and what is done."""

    newcomer: ModelId
    share: float
    days: int
    action: Action


@dataclass(frozen=True)
class Conducted:
    """What was found and decided; the deployment where it changes."""

    facts: Probation
    decision: Decision
    deployment: Deployment | None

    @property
    def stand(self) -> Stand:
        """What is worth telling when it changes; figures among the words change with every look."""
        return Stand(self.facts.newcomer, self.facts.share, self.facts.days, self.decision.action)

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
    with reader.as_logged() as log:
        judging = _Judging(task, registry, log, actor, time.time_ns(), as_of_ns, dry_run=dry_run)
        found = []
        if deployment.standby is not None:
            found.append(judging.champion(champion, deployment.standby.model))
            if found[-1].decision.action is Action.ROLL_BACK:
                return found
        if deployment.canary is not None:
            found.append(judging.canary(deployment.canary, champion))
    return found


@dataclass(frozen=True)
class _Judging:
    """One look at `log`, which must not grow meanwhile."""

    task: Task
    registry: Registry
    log: LogReader
    actor: str
    decided_ns: int
    as_of_ns: int | None
    dry_run: bool

    def champion(self, champion: ModelId, former: ModelId) -> Conducted:
        facts = measure_probation(
            self.task,
            self.log,
            champion,
            former,
            as_of_ns=self.as_of_ns,
            received_since_ns=since_ns(self.registry, champion.digest, ModelState.CHAMPION),
            looks=self.registry.looks(),
        )
        return self._settled(facts, judge_champion)

    def canary(self, canary: Canary, champion: ModelId) -> Conducted:
        newcomer = canary.ref.model
        facts = measure_probation(
            self.task,
            self.log,
            newcomer,
            champion,
            share=canary.share,
            drawn_by=canary.by,
            as_of_ns=self.as_of_ns,
            received_since_ns=since_ns(self.registry, newcomer.digest, ModelState.CANARY),
            share_since_ns=share_since_ns(self.registry, newcomer.digest),
            looks=self.registry.looks(),
        )
        return self._settled(facts, judge_canary)

    def _settled(self, facts: Probation, judge: Callable[..., Decision]) -> Conducted:
        made = judge(facts, self.task.policy, decided_ns=self.decided_ns, actor=self.actor)
        decision = replace(made, logged_ns=self.log.logged_ns)
        if self.dry_run:
            return Conducted(facts, decision, None)
        self.registry.add_look(Look(facts.evidence.query.as_of_ns, decision.logged_ns))
        if decision.action is Action.HOLD:
            return Conducted(facts, decision, None)
        save(self.registry, facts, decision, self.task.policy)
        return Conducted(facts, decision, act(self.registry, decision, self.task.policy))
