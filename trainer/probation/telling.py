"""What an operator is told: that who newly answers calls cannot be judged, or could not be until the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sidecar.findings import Finding, FindingStore
from trainer.gate import Action
from trainer.probation.verdict import cannot_judge

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sidecar.domain import Deployment
    from trainer.gate import Decision
    from trainer.policy import Policy
    from trainer.probation.conduct import Conducted
    from trainer.probation.facts import Probation

MONITOR = "probation"
UNJUDGED, LAPSED = "unjudged", "lapsed"


def findings_of(probation: Probation, decision: Decision, policy: Policy) -> list[Finding]:
    """One finding where the guard sees nothing; none where it judges, or the newcomer is gone."""
    if decision.action is Action.LAPSE:
        what, text = LAPSED, f"{probation.newcomer} stays champion, unproven. {' '.join(decision.reasons)}"
    elif decision.action is Action.HOLD and (reasons := cannot_judge(probation, policy)):
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


def tell(path: Path, deployment: Deployment, found: Sequence[Conducted], policy: Policy) -> None:
    """Report to the findings at `path`, made when absent, and close what is over.

    deployment: as it is after what was conducted. That a probation lapsed is said until the champion changes.
    """
    told = {one.facts.newcomer.digest: findings_of(one.facts, one.decision, policy) for one in found}
    if not any(told.values()) and not path.exists():
        return
    champion = deployment.champion.model.digest if deployment.champion else ""
    with FindingStore(path) as store:
        before = [one.finding for one in store.open() if one.finding.monitor == MONITOR]
        over = {one.model for one in before if one.what == UNJUDGED or one.model != champion}
        for digest in sorted(over | told.keys()):
            store.report(MONITOR, digest, told.get(digest, []), time.time_ns())
