"""Whether a champion on probation stays. Pure: equal facts and policy give an equal decision.

In this order: it is too slow, and goes; what is known does not show what it seems to, and nothing is done;
the former champion earns more, and returns; all days of the probation have been judged, and it stays for
good; more days are awaited.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trainer.betting import e_value, log_e_value
from trainer.gate import Action, Decision
from trainer.interval import PER, gain_interval
from trainer.latency import ALLOWED
from trainer.vetoes import bounds, doubts

if TYPE_CHECKING:
    from trainer.policy import Policy
    from trainer.probation.facts import Probation, Reading


def judge_probation(probation: Probation, policy: Policy, *, decided_ns: int, actor: str) -> Decision:
    """Judge the new champion; the decision's candidate is the former one."""
    action, reasons = _verdict(probation, policy)
    highest = _highest(probation)
    return Decision(
        action=action,
        reasons=tuple(reasons),
        champion=probation.champion,
        candidate=probation.former,
        e_value=e_value(highest.capital) if highest else 1.0,
        wanted=1 / policy.rollback_error,
        gain=gain_interval(probation.evidence.days, 1 - policy.error),
        evidence_digest=probation.digest,
        policy_digest=policy.digest,
        decided_ns=decided_ns,
        actor=actor,
    )


def _verdict(probation: Probation, policy: Policy) -> tuple[Action, list[str]]:
    evidence, wanted = probation.evidence, 1 / policy.rollback_error
    if slow := _too_slow(probation, policy):
        return Action.ROLL_BACK, [slow]
    if found := [*doubts(evidence, policy), *bounds(evidence)]:
        return Action.HOLD, found
    highest = _highest(probation)
    if highest and log_e_value(highest.capital) >= math.log(wanted):
        bets = _bets(probation, highest, wanted)
        return Action.ROLL_BACK, [f"The former champion earns more: {bets}; {_display(probation, policy)}."]
    if highest is None or evidence.judged.days < policy.probation_days:
        missing = "no whole day has matured yet" if highest is None else _bets(probation, highest, wanted)
        return Action.HOLD, [
            f"On probation: {evidence.judged.days} of {policy.probation_days} days judged; {missing}."
        ]
    bets, days = _bets(probation, highest, wanted), policy.probation_days
    return Action.RELEASE, [f"It passed its {days} days: {bets}; {_display(probation, policy)}."]


def _highest(probation: Probation) -> Reading | None:
    """The reading at which the bets stood best: a decline need not be shown twice."""
    return max(probation.readings, key=lambda one: log_e_value(one.capital), default=None)


def _too_slow(probation: Probation, policy: Policy) -> str:
    speed = probation.speed
    if speed is None or log_e_value(speed.beyond) < -math.log(policy.rollback_error):
        return ""
    p99 = speed.cpu.p99
    return (
        f"It is too slow where it serves: {speed.over:,} of {speed.rows:,} rows "
        f"({speed.over / speed.rows:.2%}) needed more than {speed.budget.us:,.0f} us of CPU time, "
        f"{ALLOWED:.0%} may; p99 {p99.us:,.0f} us [{p99.lower_us:,.0f}; {p99.upper_us:,.0f}]; e-value "
        f"{e_value(speed.beyond):,.3g} against keeping the budget, {1 / policy.rollback_error:,.0f} rolls "
        "back."
    )


def _bets(probation: Probation, highest: Reading, wanted: float) -> str:
    last = probation.readings[-1]
    return (
        f"e-value for the former champion at most {e_value(highest.capital):,.3g}, at the end of "
        f"{highest.until}, and {e_value(last.capital):,.3g} at the end of {last.until}; {wanted:,.0f} rolls "
        "back"
    )


def _display(probation: Probation, policy: Policy) -> str:
    evidence = probation.evidence
    gain = gain_interval(evidence.days, 1 - policy.error)
    return (
        f"the former would have earned {evidence.currency} {gain.estimate:+,.0f} per {PER:,} decisions, "
        f"{gain.confidence:.0%} interval of one look [{gain.lower:+,.0f}; {gain.upper:+,.0f}], over "
        f"{evidence.joined:,} decisions on {len(evidence.days)} whole days, {evidence.changed:,} of them "
        "changed"
    )
