"""What an operator is told: that who newly answers calls cannot be judged, or could not be until the end."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from sidecar.findings import Finding, FindingStore
from sidecar.lifecycle import ModelState
from trainer.gate import Action
from trainer.probation.facts import Probation
from trainer.probation.verdict import cannot_judge
from trainer.stints import since_ns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sidecar.registry import Registry
    from sidecar.registry_decisions import StoredDecision
    from trainer.gate import Decision
    from trainer.policy import Policy
    from trainer.probation.conduct import Conducted

MONITOR = "probation"
UNJUDGED, LAPSED = "unjudged", "lapsed"


def findings_of(probation: Probation, decision: Decision | StoredDecision, policy: Policy) -> list[Finding]:
    """One finding where the guard sees nothing; none where it judges, or the newcomer is gone."""
    if decision.action == Action.LAPSE:
        what, text = LAPSED, f"{probation.newcomer} stays champion, unproven. {' '.join(decision.reasons)}"
    elif decision.action == Action.HOLD and (reasons := cannot_judge(probation, policy)):
        role = "Champion" if probation.of_champion else "Canary"
        most = policy.probation_deadline_days if probation.of_champion else policy.deadline_days
        until = f"day {probation.matured_days} of the {most} after which it ends unproven"
        what = UNJUDGED
        text = f"{role} {probation.newcomer} cannot be judged, {until}. {' '.join(reasons)}"
    else:
        return []
    return [
        Finding(
            monitor=MONITOR,
            model=probation.newcomer.digest,
            subject="utility",
            what=what,
            size=float(probation.matured_days),
            since_ns=probation.evidence.judged.since_ns,
            text=text,
            cause="See the reasons: a bound that is declared too low, a shadow that lacks rows, or outcomes "
            "that do not come.",
            evidence={"measure": "matured days since it began to answer calls"},
        )
    ]


def tell(path: Path, registry: Registry, found: Sequence[Conducted], policy: Policy) -> None:
    """Report to the findings at `path`, made when absent, and close what is over.

    found: what was conducted; what is said of others who are still to be judged stays. That a probation
    lapsed is said until the champion changes, and known from the registry: whoever acted on it may have
    ended before it could tell.
    """
    judged: list[tuple[Probation, Decision | StoredDecision]] = [(one.facts, one.decision) for one in found]
    if lapse := _lapse(registry):
        judged.append((Probation.from_json(json.loads(lapse.evidence_json)), lapse))
    told = {facts.newcomer.digest: findings_of(facts, decision, policy) for facts, decision in judged}
    if not any(told.values()) and not path.exists():
        return
    deployment = registry.deployment()
    awaited = {deployment.canary.ref.model.digest} if deployment.canary else set()
    if deployment.standby and deployment.champion:
        awaited.add(deployment.champion.model.digest)
    with FindingStore(path) as store:
        before = {one.finding.model for one in store.open() if one.finding.monitor == MONITOR}
        for digest in sorted(before - awaited | told.keys()):
            store.report(MONITOR, digest, told.get(digest, []), time.time_ns())


def _lapse(registry: Registry) -> StoredDecision | None:
    """The decision by which the present champion's probation lapsed; None where it did not."""
    champion = registry.champion()
    if champion is None or registry.standby() is not None:
        return None
    digest = champion.model.digest
    last = registry.newest_decision(
        champion=digest,
        actions=(Action.LAPSE, Action.RELEASE),
        since_ns=since_ns(registry, digest, ModelState.CHAMPION),
    )
    return last if last and last.action == Action.LAPSE else None
