"""Gathers evidence from the log: each candidate against the champion, on the same requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import roc_auc_score

from trainer.betting import capital_at
from trainer.budget import ErrorShare
from trainer.days import DAY_NS, day_start, iso_day, nanoseconds
from trainer.evidence import (
    FAILURE_KINDS,
    Accounting,
    Cycle,
    Evidence,
    OpenFinding,
    Quality,
    Query,
    Stakes,
)
from trainer.hidden_outcomes import count_hidden
from trainer.interval import PER, Day
from trainer.join import clock_ns, read_candidate, read_rows
from trainer.latency import measure
from trainer.representative import compare
from trainer.slices import find_slices
from trainer.units import Pairs, Units, day_spread, pair, sum_units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sidecar.domain import ModelId
    from sidecar.store.reader import LogReader
    from trainer.join import CandidateRows, JoinedRows
    from trainer.policy import Policy
    from trainer.task import Task

EVEN_CHANCE = 0.5


@dataclass(frozen=True)
class Known:
    """What is known of candidates beside the log, by digest.

    shares: their parts of the error budget. trained_until_ns: the newest event that each was fitted on; only
    later days are evidence. findings: open findings on it, on the champion, or on no model.
    """

    shares: Mapping[str, ErrorShare] = field(default_factory=dict)
    trained_until_ns: Mapping[str, int] = field(default_factory=dict)
    findings: Mapping[str, tuple[OpenFinding, ...]] = field(default_factory=dict)


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
    query = Query(
        as_of_ns=clock_ns(reader) if as_of_ns is None else as_of_ns,
        maturity_ns=nanoseconds(task.maturity),
        policy_digest=task.policy.digest,
    )
    # Every row of the days before this moment has matured: the last of them ended `maturity` ago.
    matured_ns = day_start(query.as_of_ns + 1 - query.maturity_ns)
    rows = read_rows(
        reader,
        task.signature,
        task.maturity,
        as_of_ns=query.as_of_ns,
        # A candidate that began earlier is past its deadline, whatever the older rows say.
        since_ns=matured_ns - 2 * task.policy.deadline_days * DAY_NS,
        champion=champion.digest,
        hidden_by=task.hidden_by,
    )
    together = Known(shares=dict.fromkeys([one.digest for one in candidates], ErrorShare(0, len(candidates))))
    return [
        _Gathering(task, query, rows, matured_ns).one(reader, champion, candidate, known or together)
        for candidate in candidates
    ]


@dataclass(frozen=True, eq=False)
class _Gathering:
    """One look at the log; `served` are the champion's rows, and those before `matured_ns` have matured."""

    task: Task
    query: Query
    served: JoinedRows
    matured_ns: int

    def one(self, reader: LogReader, champion: ModelId, candidate: ModelId, known: Known) -> Evidence:
        task, served, policy = self.task, self.served, self.task.policy
        scored = read_candidate(reader, candidate.digest, champion.digest, served)
        entered = served.event_ns[scored.entered]
        first_scored_ns = int(entered[0]) if len(entered) else None
        ended_ns = day_start(self.query.as_of_ns + 1)
        begin_ns = ended_ns if first_scored_ns is None else _first_whole_day(reader, first_scored_ns)
        trained_until_ns = known.trained_until_ns.get(candidate.digest)
        if trained_until_ns is not None:
            # Rows sent a second time, or with an old date, may be rows that it knows by heart.
            begin_ns = max(begin_ns, day_start(trained_until_ns) + DAY_NS)
        shadowed = _between(served.event_ns, begin_ns, ended_ns)
        judged = _between(served.event_ns, begin_ns, self.matured_ns)
        # A row whose outcome is hidden is not one that lacks it: explored rows stand for it.
        accounted = judged[(served.labelled | served.hidden)[judged]]
        paired = accounted[scored.valued[accounted]]
        rows, answers = served.take(paired), scored.take(paired)
        weight = rows.weight if task.hidden_by else 1.0
        pairs = pair(
            task.costs,
            task.signature,
            rows.blocks,
            rows.label,
            decisions=(rows.decision, answers.decision),
            cpu_ns=(rows.cpu_ns, answers.cpu_ns),
            weight=weight,
        )
        units = sum_units(
            task.signature,
            rows.blocks,
            rows.event_ns,
            pairs,
            entity=task.entity,
            wanted=policy.min_gain_per_1000 / PER,
        )
        account = _account(scored.take(judged), begin_ns, self.matured_ns)
        tried, slices = find_slices(task.signature, rows.blocks, rows.event_ns, pairs, task.slices or ())
        answered = judged[scored.valued[judged] & ~served.hidden[judged]]
        timed = shadowed[scored.valued[shadowed]]
        return Evidence(
            task=task.name,
            champion=champion,
            candidate=candidate,
            query=self.query,
            signature_digest=task.signature.digest,
            costs_digest=task.costs.digest,
            currency=task.costs.currency,
            hidden=count_hidden(task, served, scored, judged),
            share=known.shares[candidate.digest],
            first_scored_ns=first_scored_ns,
            trained_until_ns=trained_until_ns,
            shadowed=_account(scored.take(shadowed), begin_ns, ended_ns),
            judged=account,
            unmatured=len(shadowed) - len(judged),
            labelled=int(np.count_nonzero(served.labelled[judged])),
            joined=int(np.count_nonzero(~rows.hidden)),
            losses=int(np.count_nonzero(pairs.changed & (pairs.gain < 0))),
            representation=compare(
                served.score[answered],
                (served.decision != scored.decision)[answered],
                served.labelled[answered],
            ),
            stakes=_stakes(task, pairs.risk / np.maximum(weight, 1.0), units, account),
            days=_days(rows.event_ns, pairs),
            cycles=_cycles(policy, units, account),
            slices_tried=tried,
            slices=slices,
            findings=known.findings.get(candidate.digest, ()),
            champion_quality=_quality(rows, weight, pairs.champion, rows.decision, rows.score),
            candidate_quality=_quality(rows, weight, pairs.candidate, answers.decision, answers.score),
            latency=measure(
                policy,
                (served.cpu_ns[timed], served.infer_ns[timed]),
                (scored.cpu_ns[timed], scored.infer_ns[timed]),
            ),
        )


def _first_whole_day(reader: LogReader, first_scored_ns: int) -> int:
    """Find the start of the first day on which nothing was served before the shadow's first Score."""
    start_ns = day_start(first_scored_ns)
    parts = reader.served_parts(("event_ns",), since_ns=start_ns, until_ns=first_scored_ns)
    earlier = next(parts, None) is not None
    return start_ns + DAY_NS if earlier else start_ns


def _between(event_ns: NDArray[np.int64], since_ns: int, until_ns: int) -> NDArray[np.int64]:
    return np.flatnonzero((event_ns >= since_ns) & (event_ns < until_ns))


def _account(scored: CandidateRows, since_ns: int, until_ns: int) -> Accounting:
    return Accounting(
        since_ns=since_ns,
        until_ns=max(since_ns, until_ns),
        served=len(scored.failure),
        valued=int(np.count_nonzero(scored.valued)),
        failures={kind: int(np.count_nonzero(scored.failure == kind)) for kind in FAILURE_KINDS},
    )


def _stakes(task: Task, row_risk: NDArray[np.float64], units: Units, judged: Accounting) -> Stakes:
    """row_risk: float64 [n], the most that each row by itself could have lost."""
    policy, row_bound = task.policy, task.costs.row_bound(task.signature)
    first_day = judged.since_ns // DAY_NS
    return Stakes(
        entity=task.entity or "",
        row_bound=row_bound,
        unit_bound=policy.largest_unit_loss,
        row_most=float(row_risk.max(initial=0.0)),
        rows_beyond=int(np.count_nonzero(row_risk > row_bound)),
        unit_most=float(units.risk.max(initial=0.0)),
        units_beyond=int(np.count_nonzero(units.risk > policy.largest_unit_loss)),
        unit_worst=float(units.gain.min(initial=0.0)),
        spread=day_spread(units, policy.cycle_days, first_day, judged.days) if task.entity else None,
    )


def _cycles(policy: Policy, units: Units, judged: Accounting) -> tuple[Cycle, ...]:
    """The bets at the end of each whole cycle, the deadline's included."""
    first_day, days = judged.since_ns // DAY_NS, policy.cycle_days
    last_days = [
        first_day + number * days for number in range(1, min(judged.days // days, policy.cycles) + 1)
    ]
    ends = np.searchsorted(units.day, last_days).tolist()
    # A unit below -1 breaks the bound, and the gate says so. Where it is accused of losing, gains are cut.
    scaled = units.gain / policy.largest_unit_loss
    winning = capital_at(np.maximum(scaled, -1.0), ends)
    losing = capital_at(np.maximum(-scaled, -1.0), ends)
    return tuple(
        Cycle(iso_day((day - 1) * DAY_NS), end, float(units.gain[:end].sum()), won, lost)
        for day, end, won, lost in zip(last_days, ends, winning, losing, strict=True)
    )


def _days(event_ns: NDArray[np.int64], pairs: Pairs) -> tuple[Day, ...]:
    if not len(event_ns):
        return ()
    starts, first = np.unique(event_ns // DAY_NS, return_index=True)
    ends = [*first[1:].tolist(), len(event_ns)]
    return tuple(
        Day(
            day=iso_day(start * DAY_NS),
            decisions=end - begin,
            changed=int(np.count_nonzero(pairs.changed[begin:end])),
            champion=float(pairs.champion[begin:end].sum()),
            candidate=float(pairs.candidate[begin:end].sum()),
            gain=float(pairs.gain[begin:end].sum()),
        )
        for start, begin, end in zip(starts.tolist(), first.tolist(), ends, strict=True)
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
