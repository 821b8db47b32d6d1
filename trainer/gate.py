"""The gate: from evidence and a policy to a decision. Pure, so that any decision can be made again.

In this order, and missing data never passes:

    a fault: quarantined, fails too often, too slow, log cut           -> reject
    decides exactly as the champion                                    -> hold
    a doubt: not identifiable, rows or labels missing, labels or units
    that are not what they seem, a finding that vetoes                 -> hold
    the e-value against it was 1 / error at the end of some cycle      -> reject
    an objection: a declared bound does not hold, a slice loses        -> hold
    a gap: cycles, rows, differences, losses, latency                  -> hold
    at the end of the last cycle the e-value for it is at least one
    over its part of the error budget                                  -> promote
    anything else                                                      -> hold, with when it may be settled

What is held when the candidate's own deadline has passed is turned down, and so is a recipe whose evidence is
still incomplete when so many days of all its fits were judged: a newer fit would not mend it.

A candidate that took the place of earlier fits of its recipe goes on with their bets: what has earned is the
recipe, as it was fitted anew from time to time. It must have come through a whole cycle by itself, and have
earned there what the policy wants.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from trainer.betting import e_value, log_e_value, periods_until
from trainer.interval import PER, Interval, gain_interval, percent
from trainer.policy import Policy
from trainer.vetoes import doubts, faults, gaps, incomplete, objections

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sidecar.domain import ModelId
    from trainer.evidence import Evidence

__all__ = ["Action", "Decision", "Policy", "choose", "decide", "lacking"]

_NAMED = 3
"""Subjects of findings that a reason names."""


class Action(StrEnum):
    """What shall become of a candidate, or of a champion on probation."""

    PROMOTE = "promote"
    HOLD = "hold"
    REJECT = "reject"
    CANARY = "canary"
    """Let it answer a part of the calls, or a greater one than before."""
    ROLL_BACK = "roll_back"
    """Of a champion on probation: the former one, the decision's candidate, returns."""
    RELEASE = "release"
    """Of a champion on probation: it passed, and the former one retires."""
    LAPSE = "lapse"
    """Of a champion on probation: it could not be judged in time, and the former one retires all the same."""


@dataclass(frozen=True)
class Decision:
    """What the gate made of the evidence.

    reasons: a sentence each, with its figures. e_value: at the end of the last whole cycle; 1 before the
    first. wanted: the e-value that promotes, or rolls back. gain: the interval of one look, for the eye; it
    decides nothing. logged_ns: what had been logged by then was judged, see `LogReader.logged_ns`; the same
    rows logged at other times are the same evidence. 0 where the evidence is of no log.
    """

    action: Action
    reasons: tuple[str, ...]
    champion: ModelId
    candidate: ModelId
    e_value: float
    wanted: float
    gain: Interval
    evidence_digest: str
    policy_digest: str
    decided_ns: int
    actor: str
    logged_ns: int = 0


def decide(evidence: Evidence, policy: Policy, *, decided_ns: int, actor: str) -> Decision:
    """Judge one candidate; see the order above."""
    gain = gain_interval(evidence.days, 1 - policy.error)
    action, reasons = _verdict(evidence, policy)
    if action is Action.HOLD and _late(evidence, policy):
        action = Action.REJECT
        reasons = [
            *reasons,
            f"It was not settled within the {policy.deadline_days} days that the policy gives a candidate.",
        ]
    return Decision(
        action=action,
        reasons=(*reasons, *_shown(evidence, policy)),
        champion=evidence.champion,
        candidate=evidence.candidate,
        e_value=e_value(evidence.cycles[-1].winning) if evidence.cycles else 1.0,
        wanted=evidence.share.wanted(policy.error),
        gain=gain,
        evidence_digest=evidence.digest,
        policy_digest=policy.digest,
        decided_ns=decided_ns,
        actor=actor,
    )


def choose(decisions: Sequence[Decision]) -> Decision | None:
    """Of the decisions to promote, the one with the greatest e-value; None when there is none."""
    earned = [decision for decision in decisions if decision.action is Action.PROMOTE]
    return max(earned, key=lambda one: (one.e_value, one.gain.estimate, one.candidate.digest), default=None)


def lacking(evidence: Evidence, policy: Policy) -> list[str]:
    """Say what the verdict still waits for; nothing where it was reached without."""
    action, reasons = _verdict(evidence, policy)
    missing = {*incomplete(evidence, policy), *gaps(evidence, policy)}
    return reasons if action is Action.HOLD and missing.issuperset(reasons) else []


def _verdict(evidence: Evidence, policy: Policy) -> tuple[Action, list[str]]:
    if found := faults(evidence, policy):
        return Action.REJECT, found
    if found := _alike(evidence, policy) or doubts(evidence, policy):
        return Action.HOLD, found
    if lost := _lost(evidence, policy):
        return Action.REJECT, [lost]
    if found := objections(evidence, policy) or gaps(evidence, policy):
        return Action.HOLD, found
    return _money(evidence, policy)


def _late(evidence: Evidence, policy: Policy) -> bool:
    days = evidence.judged.days if incomplete(evidence, policy) else evidence.own_days
    return days >= policy.deadline_days


def _shown(evidence: Evidence, policy: Policy) -> Iterator[str]:
    """What monitors found that may not veto: a sentence each, not one for every finding of a stormy month."""
    shown = [one for one in evidence.findings if one.monitor not in policy.veto_monitors]
    for monitor in sorted({one.monitor for one in shown}):
        found = [one for one in shown if one.monitor == monitor]
        subjects = list(dict.fromkeys(one.subject for one in found))
        more = f" and {len(subjects) - _NAMED} more" if len(subjects) > _NAMED else ""
        yield (
            f"Shown only: an open finding of monitor '{monitor}': {found[0].text}"
            if len(found) == 1
            else f"Shown only: {len(found)} open findings of monitor '{monitor}', about "
            f"{', '.join(subjects[:_NAMED])}{more}."
        )


def _alike(evidence: Evidence, policy: Policy) -> list[str]:
    differs = evidence.changed or (evidence.hidden and evidence.hidden.changed)
    if not evidence.joined or differs or policy.min_gain_per_1000 < 0:
        return []
    return [f"It decides exactly as the champion on {_over(evidence)}; there is nothing to gain."]


def _money(evidence: Evidence, policy: Policy) -> tuple[Action, list[str]]:
    """What the bets on the candidate say, once the evidence is complete."""
    wanted = evidence.share.wanted(policy.error)
    found = f"{_bets(evidence, policy)}; {_display(evidence, policy)}"
    # In logarithms, because an e-value can be too large to be said.
    if log_e_value(evidence.cycles[-1].winning) >= math.log(wanted):
        return Action.PROMOTE, [f"{_earned(policy)}: {found}."]
    return Action.HOLD, [f"Undecided: {found}; {_projection(evidence, policy, wanted)}"]


def _lost(evidence: Evidence, policy: Policy) -> str:
    """What the bets against the candidate or its recipe say; empty when none has won at a cycle's end.

    The best moment so far counts: a candidate need not be shown to lose twice.
    """
    cycles = (*evidence.cycles, *(evidence.own.cycles if evidence.own else ()))
    if not cycles:
        return ""
    worst = max(cycles, key=lambda cycle: log_e_value(cycle.losing))
    against = e_value(worst.losing)
    if against < 1 / policy.error:
        return ""
    what = "It loses money against the champion" if policy.min_gain_per_1000 == 0 else "It earns too little"
    return (
        f"{what}: {evidence.currency} {worst.gain:+,.0f} up to {worst.until}, e-value {against:,.3g} against "
        f"it, {1 / policy.error:,.0f} turns it down; {_display(evidence, policy)}."
    )


def _earned(policy: Policy) -> str:
    wanted = policy.min_gain_per_1000
    if wanted < 0:
        return f"It earns at most {-wanted:,.0f} per {PER:,} decisions less than the champion"
    if wanted > 0:
        return f"It earns at least {wanted:,.0f} per {PER:,} decisions more than the champion"
    return "It earns more than the champion"


def _bets(evidence: Evidence, policy: Policy) -> str:
    last, share, cycles = evidence.cycles[-1], evidence.share, len(evidence.cycles)
    return (
        f"e-value {e_value(last.winning):,.3g} after {cycles} cycles of {policy.cycle_days} days, up to "
        f"{last.until}, {share.wanted(policy.error):,.0f} promotes ({share.of(policy.error):.2%} of an error "
        f"of {percent(policy.error)}, {share.until} tried){_earlier(evidence)}"
    )


def _earlier(evidence: Evidence) -> str:
    """How much of it earlier fits of the recipe have won."""
    if not evidence.own:
        return ""
    fits, own = len(evidence.earlier), evidence.own
    before = sum(one.joined for one in evidence.earlier)
    gain = own.cycles[-1].gain if own.cycles else 0.0
    return (
        f", over {fits + 1} fits of the recipe: {before:,} decisions of earlier ones and {own.joined:,} of "
        f"its own, on which it gained {evidence.currency} {gain:+,.0f} in {len(own.cycles)} cycles"
    )


def _display(evidence: Evidence, policy: Policy) -> str:
    gain = gain_interval(evidence.days, 1 - policy.error)
    return (
        f"{evidence.currency} {gain.estimate:+,.0f} per {PER:,} decisions, {percent(gain.confidence)} "
        f"interval of one look [{gain.lower:+,.0f}; {gain.upper:+,.0f}], over {_over(evidence)}"
    )


def _over(evidence: Evidence) -> str:
    days, hidden = len(evidence.days), evidence.hidden
    over = f"{evidence.joined:,} decisions on {days} whole days, {evidence.changed:,} of them changed"
    if hidden is None:
        return over
    return (
        f"{over}; {hidden.hidden:,} more hid their outcome, for which {hidden.explored:,} explored ones stand"
    )


def _projection(evidence: Evidence, policy: Policy, wanted: float) -> str:
    """How many more days would settle it, if every cycle went as those so far did on average."""
    cycles = len(evidence.cycles)
    most = cycles - len(evidence.own_cycles) + policy.cycles
    needed = periods_until(evidence.cycles[-1].winning, cycles, wanted, most)
    if needed is None:
        return f"at this rate it will not be promoted by the deadline, day {policy.deadline_days}."
    return f"at this rate about {max(needed - cycles, 1) * policy.cycle_days} more days would decide."
