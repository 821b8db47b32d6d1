"""The gate: from evidence and a policy to a decision. Pure, so that any decision can be made again.

In this order, and missing data never passes:

    quarantined, fails too often, or over the latency budget  -> reject
    evidence incomplete (days, rows, coverage, labels)        -> hold
    decides exactly as the champion                           -> hold
    the interval on the gain lies above the least gain wanted -> promote
    the interval on the gain lies below zero                  -> reject
    anything else                                             -> hold, with how many more days may settle it
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sidecar.canonical_json import json_digest
from sidecar.domain import Failure
from trainer.interval import PER, Interval, gain_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.domain import ModelId
    from trainer.evidence import Evidence


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a candidate must show before it is promoted.

    latency_budget_us: for the p99 of the CPU time of its inference calls. latency_rows: how many rows that
    p99 needs. confidence: of the two-sided interval on the gain, shared by all candidates under test.
    slice_days: judge the newest so many whole days; min_days, min_rows: judge none with fewer.
    min_coverage: share of the champion's rows that the candidate gave a value for. min_labelled: share of
    rows whose outcome is known. min_gain_per_1000: money that the gain must exceed.
    Raises ValueError for a figure out of range.
    """

    latency_budget_us: float
    latency_rows: int = 1_000
    confidence: float = 0.95
    slice_days: int = 28
    min_days: int = 7
    min_rows: int = 1_000
    min_coverage: float = 0.99
    min_labelled: float = 0.95
    min_gain_per_1000: float = 0.0

    def __post_init__(self) -> None:
        checks = {
            "latency_budget_us must be above 0": self.latency_budget_us > 0,
            "latency_rows and min_rows must be at least 1": min(self.latency_rows, self.min_rows) >= 1,
            "confidence must lie between 0.5 and 1": 0.5 < self.confidence < 1,  # noqa: PLR2004
            "min_days must be at least 2": self.min_days >= 2,  # noqa: PLR2004 - one day has no spread
            "slice_days must be at least min_days": self.slice_days >= self.min_days,
            "min_coverage must be above 0, at most 1": 0 < self.min_coverage <= 1,
            "min_labelled must be above 0, at most 1": 0 < self.min_labelled <= 1,
            "min_gain_per_1000 must be 0 or more": 0 <= self.min_gain_per_1000 < math.inf,
        }
        for rule, kept in checks.items():
            if not kept:
                raise ValueError(f"policy: {rule}")

    def confidence_each(self, candidates: int) -> float:
        """Return the confidence for each of `candidates` that keeps the policy's for all (Bonferroni)."""
        return 1 - (1 - self.confidence) / max(candidates, 1)

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of the canonical JSON of the policy."""
        return json_digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the policy as plain data."""
        return asdict(self)


class Action(StrEnum):
    """What shall become of a candidate."""

    PROMOTE = "promote"
    HOLD = "hold"
    REJECT = "reject"


@dataclass(frozen=True)
class Decision:
    """What the gate made of the evidence.

    reasons: a sentence each, with its figures. gain: the interval that the decision rests on, at the
    confidence that was left for one candidate.
    """

    action: Action
    reasons: tuple[str, ...]
    champion: ModelId
    candidate: ModelId
    gain: Interval
    evidence_digest: str
    policy_digest: str
    decided_ns: int
    actor: str


def decide(evidence: Evidence, policy: Policy, *, decided_ns: int, actor: str) -> Decision:
    """Judge one candidate; see the order above."""
    gain = gain_interval(evidence.days, policy.confidence_each(evidence.candidates_tried))
    if reasons := faults(evidence, policy):
        action = Action.REJECT
    elif reasons := gaps(evidence, policy):
        action = Action.HOLD
    else:
        action, reason = _verdict(evidence, policy, gain)
        reasons = [reason]
    return Decision(
        action=action,
        reasons=tuple(reasons),
        champion=evidence.champion,
        candidate=evidence.candidate,
        gain=gain,
        evidence_digest=evidence.digest,
        policy_digest=policy.digest,
        decided_ns=decided_ns,
        actor=actor,
    )


def choose(decisions: Sequence[Decision]) -> Decision | None:
    """Of the decisions to promote, the one with the greatest lower bound; None when there is none."""
    earned = [decision for decision in decisions if decision.action is Action.PROMOTE]
    return max(earned, key=lambda decision: (decision.gain.lower, decision.candidate.digest), default=None)


def faults(evidence: Evidence, policy: Policy) -> list[str]:
    """Say what rules a candidate out, whatever it earns: a sentence each."""
    found = []
    shadowed = evidence.shadowed
    quarantined = shadowed.failures[Failure.QUARANTINED]
    if quarantined:
        found.append(
            f"It was quarantined for crashing or stalling too often: {quarantined:,} of {shadowed.served:,} "
            "rows went unscored for that."
        )
    failed = shadowed.share(Failure.RAISED, Failure.CRASHED, Failure.TIMED_OUT)
    if shadowed.served >= policy.min_rows and failed > 1 - policy.min_coverage:
        found.append(
            f"It failed on {failed:.2%} of {shadowed.served:,} rows (raised, crashed or timed out); "
            f"the policy allows {1 - policy.min_coverage:.2%}."
        )
    latency = evidence.latency
    if latency and latency.rows >= policy.latency_rows:
        p99_us = latency.candidate_cpu.p99_us
        if p99_us > policy.latency_budget_us:
            found.append(
                f"It is too slow: p99 CPU time {p99_us:,.0f} us over {latency.rows:,} rows, budget "
                f"{policy.latency_budget_us:,.0f} us (champion {latency.champion_cpu.p99_us:,.0f} us)."
            )
    return found


def gaps(evidence: Evidence, policy: Policy) -> list[str]:
    """Say what is still missing before the money can be judged: a sentence each."""
    judged, days = evidence.judged, len(evidence.days)
    if evidence.first_scored_ns is None:
        return ["Its shadow has not scored a row yet."]
    found = []
    if days < policy.min_days:
        found.append(f"Too few whole days have matured: {days} of {policy.min_days}.")
    if evidence.joined < policy.min_rows:
        found.append(
            f"Too few rows have a score and a matured outcome: {evidence.joined:,} of {policy.min_rows:,}."
        )
    if judged.served and judged.coverage < policy.min_coverage:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in judged.failures.items() if count)
        found.append(
            f"The evidence is incomplete: the candidate answered {judged.coverage:.2%} of {judged.served:,} "
            f"rows ({kinds}), the policy wants {policy.min_coverage:.2%}."
        )
    if judged.served and evidence.labelled_share < policy.min_labelled:
        found.append(
            f"Too few outcomes are known: {evidence.labelled_share:.2%} of {judged.served:,} matured rows, "
            f"the policy wants {policy.min_labelled:.2%}."
        )
    measured = evidence.latency.rows if evidence.latency else 0
    if measured < policy.latency_rows:
        found.append(f"Too few rows to judge its latency: {measured:,} of {policy.latency_rows:,}.")
    return found


def _verdict(evidence: Evidence, policy: Policy, gain: Interval) -> tuple[Action, str]:
    """What the money says, once the evidence is complete."""
    over = f"{evidence.joined:,} decisions on {gain.days} whole days"
    if not evidence.changed:
        return Action.HOLD, f"It decides exactly as the champion on {over}; there is nothing to gain."
    money = (
        f"{_money(gain.estimate, evidence.currency)} per {PER:,} decisions, "
        f"{gain.confidence:.2%} interval [{gain.lower:+,.0f}; {gain.upper:+,.0f}], over {over}"
    )
    if gain.lower > policy.min_gain_per_1000:
        return Action.PROMOTE, f"It earns more than the champion: {money}."
    if gain.upper < 0:
        return Action.REJECT, f"It loses money against the champion: {money}."
    return Action.HOLD, f"Undecided: {money}; {_projection(policy, gain)}"


def _projection(policy: Policy, gain: Interval) -> str:
    """How many more days would settle it, if estimate and spread stayed as they are.

    The half-width shrinks with the square root of the days.
    """
    wanted = policy.min_gain_per_1000
    distance = gain.estimate - wanted if gain.estimate > wanted else -gain.estimate
    if distance <= 0:
        return "the estimate is a gain, but smaller than the policy wants."
    half_width = (gain.upper - gain.lower) / 2
    needed = math.ceil(gain.days * (half_width / distance) ** 2)
    if needed > policy.slice_days:
        return (
            f"at this rate it needs {needed:,} days, more than the {policy.slice_days} the policy looks at."
        )
    more = max(needed - gain.days, 1)
    return f"at this rate about {more:,} more {'day' if more == 1 else 'days'} would decide."


def _money(amount: float, currency: str) -> str:
    return f"{currency} {amount:+,.0f}"
