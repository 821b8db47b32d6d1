"""Whether who newly answers calls goes on doing so. Pure: equal facts and policy give an equal decision.

In this order, for a champion and for a canary: it is too slow, or keeps a canary's callers waiting, and goes;
what is known does not show what it seems to, and nothing is done; the former one earns more, and the newcomer
goes; more days are awaited. After that a champion stays for good, and a canary gets the next share, or after
the last one becomes champion.

Whatever is awaited is not awaited for ever: at the policy's deadline, or as soon as rows of its time are gone
from the log, a canary is rejected, and the probation of a champion lapses, which nobody may call a pass.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trainer.betting import e_value, log_e_value
from trainer.gate import Action, Decision
from trainer.interval import PER, gain_interval, percent
from trainer.latency import ALLOWED
from trainer.vetoes import bounds, doubts

if TYPE_CHECKING:
    from trainer.policy import Policy
    from trainer.probation.facts import Probation, Reading

_CUT = (
    "can no longer be judged, because rows of its time were dropped from the log ([log] keep_days, keep_mb)"
)


def judge_champion(probation: Probation, policy: Policy, *, decided_ns: int, actor: str) -> Decision:
    """Judge a champion on probation; the decision's candidate is the former one, who may return."""
    action, reasons = _against(probation, policy, Action.ROLL_BACK, unshown=Action.LAPSE)
    if not reasons:
        days, wanted = probation.days, policy.probation_days
        found = _bets(probation, policy)
        if days < wanted:
            action, reasons = Action.HOLD, [f"On probation: {days} of {wanted} days judged; {found}."]
        else:
            passed = f"It passed its {wanted} days: {found}; {_display(probation, policy)}."
            action, reasons = Action.RELEASE, [passed]
    most = policy.probation_deadline_days
    if action is Action.HOLD and probation.matured_days >= most:
        action = Action.LAPSE
        reasons = [_unshown(probation, f"was not settled within the {most} days that it may take"), *reasons]
    return _decision(
        probation, policy, action, reasons, of_newcomer=False, decided_ns=decided_ns, actor=actor
    )


def judge_canary(probation: Probation, policy: Policy, *, decided_ns: int, actor: str) -> Decision:
    """Judge a canary; the decision's candidate is the canary."""
    action, reasons = _against(probation, policy, Action.REJECT, unshown=Action.REJECT)
    if not reasons:
        action, reasons = _next(probation, policy)
    most = policy.deadline_days
    if action is Action.HOLD and probation.matured_days >= most:
        action = Action.REJECT
        reasons = [*reasons, f"It was not settled within the {most} days that the policy gives a candidate."]
    return _decision(probation, policy, action, reasons, of_newcomer=True, decided_ns=decided_ns, actor=actor)


def cannot_judge(probation: Probation, policy: Policy) -> list[str]:
    """Say why the bets prove nothing at present; more days, or a hand, may mend it."""
    return [*doubts(probation.evidence, policy), *bounds(probation.evidence)]


def _against(
    probation: Probation, policy: Policy, ending: Action, *, unshown: Action
) -> tuple[Action, list[str]]:
    """What stands against the newcomer, if anything does.

    ending: what becomes of one that is found wanting; unshown: of one that can no longer be judged.
    """
    if slow := _too_slow(probation, policy):
        return ending, [slow]
    if slow := _keeps_waiting(probation, policy):
        return ending, [slow]
    if probation.evidence.cut:
        return unshown, [_unshown(probation, _CUT)]
    if found := cannot_judge(probation, policy):
        return Action.HOLD, found
    highest = _highest(probation)
    if highest and log_e_value(highest.capital) >= -math.log(policy.rollback_error):
        bets = _bets(probation, policy)
        return ending, [f"{_former(probation)} earns more: {bets}; {_display(probation, policy)}."]
    return Action.HOLD, []


def _next(probation: Probation, policy: Policy) -> tuple[Action, list[str]]:
    days, share = probation.days, probation.share
    found = f"{_bets(probation, policy)}; {_display(probation, policy)}"
    at = f"Canary at {share:.2%} of the calls, {days} of {policy.canary_days} days judged"
    if days < policy.canary_days:
        return Action.HOLD, [f"{at}; {_bets(probation, policy)}."]
    speed = probation.speed
    if speed is None:
        return Action.HOLD, [f"{at}; its speed where it serves has not been measured."]
    if log_e_value(speed.within) < -math.log(policy.error):
        slow = (
            f"it is not shown yet to be fast enough where it serves: {speed.over:,} of {speed.rows:,} rows "
            f"over {speed.budget.us:,.0f} us, e-value {e_value(speed.within):,.2f} for keeping the budget, "
            f"{1 / policy.error:,.0f} wanted"
        )
        return Action.HOLD, [f"{at}; {slow}."]
    if gap := _waits_gap(probation, policy):
        return Action.HOLD, [f"{at}; {gap}."]
    following = policy.next_share(share)
    if following is None:
        return Action.PROMOTE, [f"It passed as canary, at last at {share:.2%} of the calls: {found}."]
    return Action.CANARY, [f"It passed at {share:.2%} of the calls, and gets {following:.2%}: {found}."]


def _decision(
    probation: Probation,
    policy: Policy,
    action: Action,
    reasons: list[str],
    *,
    of_newcomer: bool,
    decided_ns: int,
    actor: str,
) -> Decision:
    highest = _highest(probation)
    newcomer, former = probation.newcomer, probation.former
    return Decision(
        action=action,
        reasons=tuple(reasons),
        champion=former if of_newcomer else newcomer,
        candidate=newcomer if of_newcomer else former,
        e_value=e_value(highest.capital) if highest else 1.0,
        wanted=1 / policy.rollback_error,
        gain=gain_interval(probation.evidence.days, 1 - policy.error),
        evidence_digest=probation.digest,
        policy_digest=policy.digest,
        decided_ns=decided_ns,
        actor=actor,
    )


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
        f"{e_value(speed.beyond):,.3g} against keeping the budget, {1 / policy.rollback_error:,.0f} ends it."
    )


def _keeps_waiting(probation: Probation, policy: Policy) -> str:
    excess = probation.waits and probation.waits.excess
    # A canary is held to it anew at each share, so the shares divide the error.
    wanted = max(1, len(policy.canary)) / policy.rollback_error
    if not excess or log_e_value(excess.beyond) < math.log(wanted):
        return ""
    return (
        f"It keeps callers waiting: {_slow_calls(probation)}; e-value {e_value(excess.beyond):,.3g} against "
        f"keeping to the champion's share and {ALLOWED:.0%}, {wanted:,.0f} ends it."
    )


def _waits_gap(probation: Probation, policy: Policy) -> str:
    """What is missing before a canary's callers are known not to wait longer."""
    if policy.canary_wait_budget_us is None:
        return ""
    if probation.drawn_by is not None:
        return (
            f"whether its callers wait longer cannot be judged, because its calls are drawn by "
            f"'{probation.drawn_by}' and not by their ids"
        )
    excess = probation.waits and probation.waits.excess
    if not excess:
        return "how long its callers wait has not been measured"
    if log_e_value(excess.within) >= -math.log(policy.error):
        return ""
    return (
        f"its callers are not shown yet to wait no longer: {_slow_calls(probation)}; e-value "
        f"{e_value(excess.within):,.2f} for keeping to the champion's share and {ALLOWED:.0%}, "
        f"{1 / policy.error:,.0f} wanted"
    )


def _slow_calls(probation: Probation) -> str:
    waits = probation.waits
    assert waits is not None
    assert waits.excess is not None
    excess = waits.excess
    return (
        f"{excess.slow:,} of its {waits.calls:,} calls ({excess.slow / waits.calls:.2%}) took more than "
        f"{excess.budget_us:,.0f} us in the queue and for the run, and {excess.beside_slow:,} of the "
        f"champion's {waits.beside_calls:,} ({excess.beside_slow / waits.beside_calls:.2%}) at the same time"
    )


def _unshown(probation: Probation, why: str) -> str:
    """What nobody knows where a guard ends without a verdict."""
    whose = "The probation" if probation.of_champion else "The canary"
    former = _former(probation).lower()
    return f"{whose} {why}: that {former} would not have earned more was not shown."


def _former(probation: Probation) -> str:
    return "The former champion" if probation.of_champion else "The champion"


def _bets(probation: Probation, policy: Policy) -> str:
    highest = _highest(probation)
    if highest is None:
        return "no whole day has matured yet"
    last = probation.readings[-1]
    return (
        f"e-value for {_former(probation).lower()} at most {e_value(highest.capital):,.3g}, at the end of "
        f"{highest.until}, and {e_value(last.capital):,.3g} at the end of {last.until}; "
        f"{1 / policy.rollback_error:,.0f} ends it"
    )


def _display(probation: Probation, policy: Policy) -> str:
    evidence = probation.evidence
    gain = gain_interval(evidence.days, 1 - policy.error)
    return (
        f"{_former(probation).lower()} would have earned {evidence.currency} {gain.estimate:+,.0f} per "
        f"{PER:,} decisions, {percent(gain.confidence)} interval of one look [{gain.lower:+,.0f}; "
        f"{gain.upper:+,.0f}], over {evidence.joined:,} decisions on {len(evidence.days)} whole days, "
        f"{evidence.changed:,} of them changed"
    )
