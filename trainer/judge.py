"""Judges every candidate in the shadow: evidence from the log, a decision for each, kept in the registry."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from sidecar.errors import ConfigError, NoChampionError, NotFoundError, SignatureMismatchError
from sidecar.findings import FindingStore
from sidecar.lifecycle import ModelState
from sidecar.registry import Look
from trainer.budget import error_shares
from trainer.evidence import OpenFinding
from trainer.gate import Action, decide
from trainer.gather import Known, gather
from trainer.promote import act, save
from trainer.stints import stints_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.config import Config
    from sidecar.findings import Finding
    from sidecar.lifecycle import Version
    from sidecar.registry import Registry
    from sidecar.store.reader import LogReader
    from trainer.evidence import Evidence
    from trainer.gate import Decision
    from trainer.policy import Policy
    from trainer.task import Task


def champion_of(task: Task, registry: Registry) -> Version:
    """The champion that serves this task.

    Raises NoChampionError when there is none, ConfigError when it serves another task, and
    SignatureMismatchError when the task's fields have changed since it was fitted: rows in the log have the
    champion's columns.
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
    if champion.signature_digest != task.signature.digest:
        raise SignatureMismatchError(
            f"the fields of task {task.name!r} are not those of champion {champion.model}; "
            "restore them, or begin with a new home"
        )
    return champion


def judge(
    task: Task,
    registry: Registry,
    reader: LogReader,
    findings: Sequence[Finding],
    *,
    actor: str,
    as_of_ns: int | None = None,
    only: str | None = None,
) -> list[tuple[Evidence, Decision]]:
    """Evidence and decision for each candidate in the shadow, or for the one with the digest `only`.

    findings: what monitors find at present. Nothing is changed by it. Raises NotFoundError when no candidate
    (or not that one) is in the shadow, or no row is logged, and as `champion_of` does.
    """
    champion = champion_of(task, registry).model
    candidates = [ref for ref in registry.deployment().candidates if only in (None, ref.model.digest)]
    if not candidates:
        if only is None:
            raise NotFoundError("no candidate is in the shadow; start one with `trainer shadow`")
        version = registry.find(only)
        raise NotFoundError(f"{version.model} is not in the shadow, it is {version.state}")
    known = Known(
        shares=error_shares(registry, champion.digest),
        stints={
            ref.model.digest: stints_of(registry, ref.model.digest, champion.digest) for ref in candidates
        },
        findings={
            ref.model.digest: _concerning(findings, {"", champion.digest, ref.model.digest})
            for ref in candidates
        },
        looks=registry.looks(),
    )
    with reader.as_logged() as log:
        logged_ns = log.logged_ns
        evidence = gather(
            task, log, champion, [ref.model for ref in candidates], as_of_ns=as_of_ns, known=known
        )
    decided_ns = time.time_ns()
    decisions = [decide(one, task.policy, decided_ns=decided_ns, actor=actor) for one in evidence]
    return [(one, replace(made, logged_ns=logged_ns)) for one, made in zip(evidence, decisions, strict=True)]


def settle(registry: Registry, judged: Sequence[tuple[Evidence, Decision]], policy: Policy) -> None:
    """Keep every decision with its evidence, and take the rejected candidates out of the shadow."""
    for evidence, decision in judged:
        registry.add_look(Look(evidence.query.as_of_ns, decision.logged_ns))
        save(registry, evidence, decision, policy)
        if decision.action is Action.REJECT and _in_shadow(registry, decision):
            act(registry, decision, policy)


def open_findings(config: Config) -> list[Finding]:
    """What the monitors of a home find at present; nothing where none ever looked."""
    if not config.findings_path.exists():
        return []
    with FindingStore(config.findings_path) as store:
        return [sighting.finding for sighting in store.open()]


def _concerning(findings: Sequence[Finding], models: set[str]) -> tuple[OpenFinding, ...]:
    """Those on these models, by digest, in an order that does not depend on when they were found."""
    return tuple(
        sorted(
            (
                OpenFinding(one.monitor, one.subject, one.what, one.text)
                for one in findings
                if one.model in models
            ),
            key=lambda one: (one.monitor, one.subject, one.what, one.text),
        )
    )


def _in_shadow(registry: Registry, decision: Decision) -> bool:
    return registry.find(decision.candidate.digest).state is ModelState.SHADOW
