"""Conducts a probation: what the log says is judged, the decision kept in the registry, and acted upon."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from sidecar.errors import NotFoundError
from trainer.gate import Action
from trainer.judge import champion_of
from trainer.probation.facts import Probation
from trainer.probation.measure import measure_probation
from trainer.probation.verdict import judge_probation
from trainer.promote import act, save

if TYPE_CHECKING:
    from sidecar.domain import Deployment, ModelId
    from sidecar.registry import Registry
    from sidecar.store.reader import LogReader
    from trainer.gate import Decision
    from trainer.task import Task


def look_at_probation(
    task: Task, registry: Registry, reader: LogReader, *, actor: str, as_of_ns: int | None = None
) -> tuple[Probation, Decision] | None:
    """Facts and decision on the champion, None where no former one stands by. Changes nothing.

    Raises NotFoundError when nothing has been served, and as `champion_of` does.
    """
    champion, standby = champion_of(task, registry).model, registry.standby()
    if standby is None:
        return None
    probation = measure_probation(
        task,
        reader,
        champion,
        standby.model,
        as_of_ns=as_of_ns,
        after_ns=_rolled_back_ns(registry, champion, standby.model),
    )
    decision = judge_probation(probation, task.policy, decided_ns=time.time_ns(), actor=actor)
    return probation, decision


def conduct(
    task: Task, registry: Registry, reader: LogReader, *, actor: str
) -> tuple[Probation, Decision, Deployment | None]:
    """Judge the champion on probation, keep the decision, and act on it; the deployment where it changes.

    A decision to wait is not kept: there would be one for every look. Raises NotFoundError when no former
    champion stands by, and as `look_at_probation` does.
    """
    found = look_at_probation(task, registry, reader, actor=actor)
    if found is None:
        raise NotFoundError("no former champion stands by, so the champion is not on probation")
    probation, decision = found
    if decision.action is Action.HOLD:
        return probation, decision, None
    save(registry, probation, decision, task.policy)
    return probation, decision, act(registry, decision)


def _rolled_back_ns(registry: Registry, champion: ModelId, former: ModelId) -> int | None:
    """Until when the log was known when this champion was last rolled back to this former one.

    Who lets it return by an override does so knowing that; only later days count against it then.
    """
    for stored in reversed(registry.decisions()):
        pair = stored.champion, stored.candidate
        if stored.action == Action.ROLL_BACK and pair == (champion.digest, former.digest):
            return Probation.from_json(json.loads(stored.evidence_json)).evidence.query.as_of_ns
    return None


def ending(decision: Decision) -> str:
    """What was decided, and why, in words."""
    done = {
        Action.ROLL_BACK: f"Roll back to {decision.candidate}.",
        Action.RELEASE: f"{decision.champion} stays; {decision.candidate} retires.",
        Action.HOLD: f"{decision.champion} stays on probation.",
    }
    return " ".join([done[decision.action], *decision.reasons])
