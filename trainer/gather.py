"""Gathers evidence from the log: each candidate against the champion, on the same requests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import roc_auc_score

from trainer.betting import capital_at
from trainer.budget import ErrorShare
from trainer.comparison import Reign, days_of, stakes_of, stretches_of
from trainer.days import DAY_NS, day_start, iso_day
from trainer.evidence import (
    Accounting,
    Cycle,
    EarlierFit,
    Evidence,
    OpenFinding,
    Own,
    Quality,
)
from trainer.hidden_outcomes import count_hidden
from trainer.interval import PER
from trainer.late_outcomes import count_late
from trainer.latency import measure
from trainer.looks import first_look, order_of
from trainer.noise import measure_noise
from trainer.representative import compare
from trainer.slices import find_slices
from trainer.stints import Stint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sidecar.domain import ModelId
    from sidecar.registry import Look
    from sidecar.store.reader import LogReader
    from trainer.comparison import Comparison
    from trainer.join import CandidateRows, JoinedRows
    from trainer.noise import Noise
    from trainer.policy import Policy
    from trainer.task import Task
    from trainer.units import Units

EVEN_CHANCE = 0.5


@dataclass(frozen=True)
class Known:
    """What is known of candidates beside the log, by digest.

    shares: their parts of the error budget. stints: of their recipes in the shadow, their own the last; only
    rows received meanwhile, and days later than what each fit knew, are evidence. findings: open findings
    on it, on the champion, or on no model. looks: those before, of any candidate.
    """

    shares: Mapping[str, ErrorShare] = field(default_factory=dict)
    stints: Mapping[str, tuple[Stint, ...]] = field(default_factory=dict)
    findings: Mapping[str, tuple[OpenFinding, ...]] = field(default_factory=dict)
    looks: Sequence[Look] = ()


def gather(
    task: Task,
    reader: LogReader,
    champion: ModelId,
    candidates: Sequence[ModelId],
    *,
    as_of_ns: int | None = None,
    known: Known | None = None,
) -> list[Evidence]:
    """Evidence on each candidate, in their order, as known at `as_of_ns` (the log's clock if not given).

    known: candidates without a share of the error budget count as those that came first, together.
    Raises NotFoundError when nothing has been served.
    """
    if known is None:
        together = ErrorShare(0, len(candidates))
        known = Known(shares=dict.fromkeys([one.digest for one in candidates], together))
    stints = [known.stints.get(one.digest, (Stint(one),)) for one in candidates]
    # Evidence on one candidate must not depend on who else is asked about, so those that go on from earlier
    # fits do not lend the others their older rows.
    found: dict[str, Evidence] = {}
    for whole in sorted({len(each) > 1 for each in stints}):
        reign = Reign.at(task, reader, champion, as_of_ns, looks=known.looks, whole=whole)
        noise = measure_noise(reader, reign)
        for each in stints:
            if (len(each) > 1) is whole:
                compared = reign.compare(reader, *each)
                units = compared.units(task, task.policy.min_gain_per_1000 / PER)
                found[each[-1].model.digest] = describe(reign, compared, units, known, noise)
    return [found[one.digest] for one in candidates]


def describe(reign: Reign, found: Comparison, units: Units, known: Known, noise: Noise | None) -> Evidence:
    """Say what a comparison shows. units: those that are bet on."""
    task, served, policy = reign.task, reign.served, reign.task.policy
    scored, rows, answers, pairs = found.fits.scored, found.rows, found.answers, found.pairs
    judged, shadowed, account, weight = found.judged, found.shadowed, found.judged_account, found.weight
    tried, slices = find_slices(task.signature, rows.blocks, rows.event_ns, pairs, task.slices or ())
    own = found.fits.stints[-1]
    answered = judged[scored.valued[judged] & ~served.hidden[judged]]
    timed = _as_first_looked_at(reign, scored, shadowed[scored.valued[shadowed]])
    return Evidence(
        task=task.name,
        champion=reign.champion,
        candidate=own.model,
        query=reign.query,
        signature_digest=task.signature.digest,
        costs_digest=task.costs.digest,
        currency=task.costs.currency,
        hidden=count_hidden(task, served, scored, judged),
        share=known.shares[own.model.digest],
        first_scored_ns=found.fits.first_scored_ns,
        trained_until_ns=own.trained_until_ns,
        received_since_ns=own.received_since_ns,
        earlier=_earlier(found),
        own=_own(policy, found, units),
        cut=reign.lacks_rows_since(found.fits.stints[0].received_since_ns),
        shadowed=found.shadowed_account,
        judged=account,
        unmatured=found.unmatured,
        labelled=int(np.count_nonzero(served.labelled[judged])),
        late=count_late(served, judged, reign.query.maturity_ns),
        joined=int(np.count_nonzero(~rows.hidden)),
        losses=int(np.count_nonzero(pairs.changed & (pairs.gain < 0))),
        representation=compare(
            served.score[answered],
            (served.decision != scored.decision)[answered],
            served.labelled[answered],
        ),
        stakes=stakes_of(task, pairs.risk / np.maximum(weight, 1.0), units, account),
        days=days_of(rows.event_ns, pairs),
        cycles=_cycles(policy, units, account, found.fits.own_since_ns),
        slices_tried=tried,
        slices=slices,
        findings=known.findings.get(own.model.digest, ()),
        champion_quality=_quality(rows, weight, pairs.champion, rows.decision, rows.score),
        candidate_quality=_quality(rows, weight, pairs.candidate, answers.decision, answers.score),
        latency=measure(
            policy,
            (served.cpu_ns[timed], served.infer_ns[timed]),
            (scored.cpu_ns[timed], scored.infer_ns[timed]),
        ),
        noise=noise,
    )


def _as_first_looked_at(reign: Reign, scored: CandidateRows, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of rows in the order of the events the order in which blocks are cut, see `trainer.looks`."""
    written_ns = np.maximum(reign.served.written_ns, scored.written_ns)[rows]
    return rows[order_of(first_look(reign.looks, reign.served.event_ns[rows], written_ns, day_start))]


def _earlier(found: Comparison) -> tuple[EarlierFit, ...]:
    fits = []
    for number, stint in enumerate(found.fits.stints[:-1]):
        assert stint.received_until_ns is not None
        rows = found.fit == number
        fits.append(
            EarlierFit(
                model=stint.model,
                received_since_ns=stint.received_since_ns,
                received_until_ns=stint.received_until_ns,
                trained_until_ns=stint.trained_until_ns,
                joined=int(np.count_nonzero(rows & ~found.rows.hidden)),
                changed=int(np.count_nonzero(rows & found.pairs.changed)),
            )
        )
    return tuple(fits)


def _own(policy: Policy, found: Comparison, units: Units) -> Own | None:
    """What the last fit shows without those before it."""
    if not found.fits.last:
        return None
    begin_ns = found.fits.own_since_ns
    rows = (found.fit == found.fits.last) & (found.rows.event_ns >= begin_ns)
    until_ns = max(begin_ns, found.judged_account.until_ns)
    account = replace(found.judged_account, since_ns=begin_ns, until_ns=until_ns)
    return Own(
        days=account.days,
        joined=int(np.count_nonzero(rows & ~found.rows.hidden)),
        changed=int(np.count_nonzero(rows & found.pairs.changed)),
        cycles=_cycles(policy, units.since(begin_ns // DAY_NS), account, begin_ns),
    )


def _cycles(policy: Policy, units: Units, judged: Accounting, own_ns: int) -> tuple[Cycle, ...]:
    """The bets at the end of each whole cycle, until the deadline of the fit whose days begin at `own_ns`."""
    before = (own_ns - judged.since_ns) // DAY_NS
    most = (before + policy.deadline_days) // policy.cycle_days
    last_days, ends = stretches_of(units, judged, policy.cycle_days, most)
    # A unit below -1 breaks the bound, and the gate says so. Where it is accused of losing, gains are cut.
    scaled = units.gain / policy.largest_unit_loss
    winning = capital_at(np.maximum(scaled, -1.0), ends)
    losing = capital_at(np.maximum(-scaled, -1.0), ends)
    return tuple(
        Cycle(iso_day((day - 1) * DAY_NS), end, float(units.gain[:end].sum()), won, lost)
        for day, end, won, lost in zip(last_days, ends, winning, losing, strict=True)
    )


def _quality(
    rows: JoinedRows,
    weight: NDArray[np.float64] | float,
    money: NDArray[np.float64],
    decision: NDArray[np.bool_],
    score: NDArray[np.float32],
) -> Quality | None:
    """money: what these rows earned, for as many as each stands for."""
    shown = np.flatnonzero(~rows.hidden)
    if not len(shown):
        return None
    each = None if isinstance(weight, float) else weight[shown]
    label, score = rows.label[shown], score[shown]
    right = (score >= EVEN_CHANCE) == (label == 1)
    both = len(np.unique(label)) > 1
    return Quality(
        utility_per_1000=PER * float(money.sum() / (len(shown) if each is None else each.sum())),
        act_rate=float(decision.mean()),
        accuracy=float(np.average(right, weights=each)),
        auc=float(roc_auc_score(label, score, sample_weight=each)) if both else None,
    )
