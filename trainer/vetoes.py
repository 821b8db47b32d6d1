"""What stands against a candidate, whatever it earns. Each veto is a sentence with its figures.

faults      it is too slow, fails, was quarantined, or its evidence has lost its beginning
doubts      the evidence does not show what it seems to; `incomplete` are those that more days may mend
objections  there is evidence, and it speaks against a promotion
gaps        there is not enough evidence yet
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scipy.special import chdtri

from sidecar.domain import Failure
from trainer.betting import e_value, log_e_value
from trainer.days import HOUR_NS, iso_day
from trainer.late_outcomes import too_many
from trainer.latency import ALLOWED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer.evidence import Evidence
    from trainer.hidden_outcomes import HiddenOutcomes
    from trainer.latency import Latency
    from trainer.policy import Policy

_HIDING = {"act": "acting", "pass": "passing"}
SPREAD_ERROR = 0.001
"""The chance that independent entities look dependent."""


def faults(evidence: Evidence, policy: Policy) -> list[str]:
    """Say what rules a candidate out."""
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
    if latency and e_value(latency.beyond) >= 1 / policy.error:
        found.append(
            f"It is too slow: {_speed(latency)}; e-value {e_value(latency.beyond):,.3g} against keeping the "
            f"budget, {1 / policy.error:,.0f} turns it down."
        )
    if evidence.cut:
        whose = "its recipe's" if evidence.earlier else "its"
        found.append(
            f"Its evidence has lost its beginning: rows of {whose} time in the shadow were dropped from the "
            "log. Let the log keep more ([log] keep_days, keep_mb); the next fit begins anew."
        )
    return found


def doubts(evidence: Evidence, policy: Policy) -> list[str]:
    """Say why the evidence does not show what it seems to."""
    return [
        *_noise(evidence),
        *_identification(evidence),
        *incomplete(evidence, policy),
        *_maturity(evidence, policy),
        *_representation(evidence, policy),
        *_independence(evidence, policy),
        *(
            f"An open finding of monitor '{one.monitor}' vetoes: {one.text}"
            for one in evidence.findings
            if one.monitor in policy.veto_monitors
        ),
    ]


def incomplete(evidence: Evidence, policy: Policy) -> list[str]:
    """Say which judged rows lack a value or a label, where too many do."""
    judged = evidence.judged
    found = []
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
    if evidence.hidden:
        found += _unexplored(evidence.hidden, policy)
    return found


def _unexplored(hidden: HiddenOutcomes, policy: Policy) -> Iterator[str]:
    if hidden.explored_labelled < policy.min_labelled * hidden.explored:
        yield (
            f"Too few outcomes of explored rows are known: {hidden.explored_labelled:,} of "
            f"{hidden.explored:,}, the policy wants {policy.min_labelled:.2%}; the caller must do as the "
            "reply says also where it is explored, and report what came of it."
        )
    elif hidden.hidden > hidden.without_chance and not hidden.explored:
        yield (
            f"Not identifiable yet: {_HIDING[hidden.by]} hides the outcome, and none of {hidden.hidden:,} "
            "such rows was explored so far."
        )


def objections(evidence: Evidence, policy: Policy) -> list[str]:
    """Say what the evidence holds against a promotion."""
    return [*bounds(evidence), *_slices(evidence, policy), *_own_loss(evidence, policy)]


def gaps(evidence: Evidence, policy: Policy) -> list[str]:
    """Say what is still missing before the money can be judged."""
    if evidence.first_scored_ns is None:
        return ["Its shadow has not scored a row yet."]
    found = []
    known_ns, now_ns = evidence.trained_until_ns, evidence.query.as_of_ns
    if known_ns is not None and known_ns > now_ns:
        found.append(
            f"It may have been fitted on rows up to {iso_day(known_ns)}, and the log ends on "
            f"{iso_day(now_ns)}: no row is known to be new to it."
        )
    own = " of its own, without the earlier fits of its recipe" if evidence.own else ""
    if not evidence.own_cycles:
        found.append(f"No whole cycle has matured: {evidence.own_days} of {policy.cycle_days} days{own}.")
    if evidence.own_joined < policy.min_rows:
        found.append(
            f"Too few rows have a score and a matured outcome: {evidence.own_joined:,} of "
            f"{policy.min_rows:,}{own}."
        )
    found += _speed_gap(evidence, policy)
    if policy.min_gain_per_1000 < 0:
        return found  # who may lose a little need not differ at all
    if evidence.changed < policy.min_changed:
        found.append(
            f"Too few decisions differ from the champion's: {evidence.changed:,} of {policy.min_changed:,}."
        )
    if evidence.losses < policy.min_losses:
        found.append(
            f"Too few of them lost money to know its losses: {evidence.losses:,} of {policy.min_losses:,}."
        )
    return found


def _speed_gap(evidence: Evidence, policy: Policy) -> Iterator[str]:
    latency = evidence.latency
    if latency is None:
        yield "Its latency has not been measured."
    elif e_value(latency.within) < 1 / policy.error:
        yield (
            f"It is not shown yet to be fast enough: {_speed(latency)}; e-value "
            f"{e_value(latency.within):,.2f} for keeping the budget, {1 / policy.error:,.0f} wanted; "
            f"{_rows_to_go(latency, policy)}."
        )


def _noise(evidence: Evidence) -> Iterator[str]:
    noise = evidence.noise
    if noise and (noise.scores_differ or noise.decisions_differ):
        yield (
            f"Shadows cannot be trusted: the champion's own copy gave another score on "
            f"{noise.scores_differ:,} of {noise.rows:,} rows, by up to {noise.largest_difference:.3g}, and "
            f"decided otherwise on {noise.decisions_differ:,}."
        )


def _identification(evidence: Evidence) -> Iterator[str]:
    hidden = evidence.hidden
    if hidden and hidden.without_chance:
        yield (
            f"Not identifiable: {_HIDING[hidden.by]} hides the outcome, so where champion and candidate "
            "differ one of them is never seen to be wrong, and "
            f"{hidden.without_chance:,} of {hidden.hidden:,} hidden "
            "rows had no chance to be explored; let the task explore, and promote a version that does."
        )


def bounds(evidence: Evidence) -> Iterator[str]:
    """Say which declared bound does not hold."""
    stakes, currency, hidden = evidence.stakes, evidence.currency, evidence.hidden
    unit = "One entity's day" if stakes.entity else "A day"
    if stakes.rows_beyond:
        yield (
            f"The cost table's bound does not hold: {stakes.rows_beyond:,} of {evidence.joined:,} rows could "
            f"lose more than its largest_loss of {currency} {stakes.row_bound:,.0f}, one of them "
            f"{stakes.row_most:,.0f}."
        )
    if hidden and hidden.heaviest * stakes.row_bound > stakes.unit_bound:
        yield (
            f"The policy's bound cannot hold: an explored row stands for {hidden.heaviest:,.0f} and can lose "
            f"{currency} {stakes.row_bound:,.0f}, together more than its largest_unit_loss of "
            f"{stakes.unit_bound:,.0f}; declare more."
        )
    if stakes.unit_worst < -stakes.unit_bound:
        yield (
            f"The policy's bound does not hold: {unit.lower()} lost {currency} {-stakes.unit_worst:,.0f}, "
            f"more than its largest_unit_loss of {stakes.unit_bound:,.0f}, so its e-value proves nothing."
        )
    elif stakes.unit_most > stakes.unit_bound:
        yield (
            f"The policy's bound does not hold: {stakes.units_beyond:,} units put more at risk than its "
            f"largest_unit_loss of {currency} {stakes.unit_bound:,.0f}, one of them {stakes.unit_most:,.0f}; "
            "declare more."
        )


def _maturity(evidence: Evidence, policy: Policy) -> Iterator[str]:
    late, hours = evidence.late, evidence.query.maturity_ns / HOUR_NS
    for kind, came_late, of in (
        ("positive", late.late_positive, late.positive),
        ("negative", late.late_negative, late.negative),
    ):
        if too_many(came_late, of, 1 - policy.min_labelled):
            yield (
                f"The task's maturity is too short: {came_late:,} of {of:,} {kind} outcomes "
                f"({came_late / of:.2%}) came later than {hours:g} hours after the event, "
                f"{1 - policy.min_labelled:.2%} may; declare a longer one."
            )


def _representation(evidence: Evidence, policy: Policy) -> Iterator[str]:
    found = evidence.representation
    if found and found.distance > max(policy.max_label_distance, found.by_chance):
        yield (
            f"The labelled rows do not stand for the rest: the scores of {found.labelled:,} with and "
            f"{found.missing:,} without a label lie {found.distance:.2f} apart, "
            f"{policy.max_label_distance:.2f} is allowed; it decides differently on {found.changed:.2%} of "
            f"the former and {found.missing_changed:.2%} of the latter."
        )


def _independence(evidence: Evidence, policy: Policy) -> Iterator[str]:
    spread, days = evidence.stakes.spread, policy.cycle_days
    if spread is None:
        return
    free = (evidence.judged.days // days - 1) * days
    limit = float(chdtri(free, SPREAD_ERROR)) / free
    if spread > limit:
        yield (
            f"Units are not independent: the days' totals vary {spread:.1f} times as much as independent "
            f"units of '{evidence.stakes.entity}' would make them, {limit:.1f} may be chance; take the "
            "entity out of the task, so that whole days are units."
        )


def _slices(evidence: Evidence, policy: Policy) -> Iterator[str]:
    for one in evidence.slices:
        if one.gain < 0 and one.p < policy.slice_error:
            yield (
                f"It loses on a slice: {one.field} {one.part}: {evidence.currency} {one.gain:+,.0f} over "
                f"{one.changed:,} decisions that differ, p {one.p:.1g} after Holm's correction for "
                f"{evidence.slices_tried:,} slices, {policy.slice_error:g} allowed."
            )


def _own_loss(evidence: Evidence, policy: Policy) -> Iterator[str]:
    own = evidence.own
    wanted = ", less what the policy wants" if policy.min_gain_per_1000 else ""
    if own and own.cycles and own.cycles[-1].gain <= 0:
        yield (
            f"What earlier fits of its recipe earned does not stand for it: this one comes to "
            f"{evidence.currency} {own.cycles[-1].gain:+,.0f} in {len(own.cycles)} cycles of its own"
            f"{wanted}, over {own.changed:,} decisions that differ."
        )


def _speed(latency: Latency) -> str:
    p99 = latency.candidate_cpu.p99
    return (
        f"{latency.over:,} of {latency.rows:,} rows ({latency.over / latency.rows:.2%}) needed more than "
        f"{latency.budget.us:,.0f} us of CPU time, {ALLOWED:.0%} may; p99 {p99.us:,.0f} us "
        f"[{p99.lower_us:,.0f}; {p99.upper_us:,.0f}], champion {latency.champion_cpu.p99.us:,.0f} us"
    )


def _rows_to_go(latency: Latency, policy: Policy) -> str:
    blocks = latency.rows // latency.block
    grown = log_e_value(latency.within)
    if grown <= 0:
        return f"its {blocks:,} blocks of {latency.block:,} rows speak against it so far"
    return f"at this rate after about {latency.rows * -math.log(policy.error) / grown:,.0f} rows"
