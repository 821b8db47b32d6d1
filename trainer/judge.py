"""Judges every candidate in the shadow: evidence from the log, a decision for each, kept in the registry."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sidecar.errors import ConfigError, NoChampionError, NotFoundError
from sidecar.lifecycle import ModelState
from trainer.gate import Action, decide
from trainer.gather import gather
from trainer.promote import act, candidates_tried, save

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.domain import ModelId
    from sidecar.lifecycle import Version
    from sidecar.registry import Registry
    from sidecar.store.log import LogReader
    from trainer.evidence import Evidence
    from trainer.gate import Decision
    from trainer.task import Task


def champion_of(task: Task, registry: Registry) -> Version:
    """The champion that serves this task.

    Raises NoChampionError when there is none, and ConfigError when it serves another task.
    """
    champion = registry.champion()
    if champion is None:
        raise NoChampionError(
            "there is no champion yet; make the first with `trainer run` or `promote --first`"
        )
    if champion.model.name != task.name:
        raise ConfigError(
            f"the champion is {champion.model}, not of task {task.name!r}; name its task or home"
        )
    return champion


def judge(
    task: Task,
    registry: Registry,
    reader: LogReader,
    *,
    actor: str,
    as_of_ns: int | None = None,
    only: str | None = None,
) -> list[tuple[Evidence, Decision]]:
    """Evidence and decision for each candidate in the shadow, or for the one with the digest `only`.

    Nothing is changed by it. Raises NotFoundError when no candidate is in the shadow, or no row is logged.
    """
    champion = champion_of(task, registry).model
    candidates: list[ModelId] = [ref.model for ref in registry.deployment().candidates]
    if only is not None:
        candidates = [model for model in candidates if model.digest == only]
    if not candidates:
        raise NotFoundError("no candidate is in the shadow; start one with `trainer shadow`")
    tried = candidates_tried(registry, champion.digest)
    evidence = gather(task, reader, champion, candidates, as_of_ns=as_of_ns, candidates_tried=tried)
    decided_ns = time.time_ns()
    return [(one, decide(one, task.policy, decided_ns=decided_ns, actor=actor)) for one in evidence]


def settle(registry: Registry, judged: Sequence[tuple[Evidence, Decision]]) -> None:
    """Keep every decision with its evidence, and take the rejected candidates out of the shadow."""
    for evidence, decision in judged:
        save(registry, evidence, decision)
        if decision.action is Action.REJECT and _in_shadow(registry, decision):
            act(registry, decision)


def _in_shadow(registry: Registry, decision: Decision) -> bool:
    return registry.find(decision.candidate.digest).state is ModelState.SHADOW
