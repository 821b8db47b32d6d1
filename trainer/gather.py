"""Gathers evidence from the log: each candidate against the champion, on the same requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import roc_auc_score

from trainer.days import DAY_NS, day_start, iso_day, nanoseconds
from trainer.evidence import FAILURE_KINDS, Accounting, Evidence, Latency, Quality, Quantiles, Query
from trainer.interval import PER, Day
from trainer.join import clock_ns, read_candidate, read_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sidecar.domain import ModelId
    from sidecar.store.reader import LogReader
    from trainer.join import CandidateRows, JoinedRows
    from trainer.task import Task

EVEN_CHANCE = 0.5


def gather(
    task: Task,
    reader: LogReader,
    champion: ModelId,
    candidates: Sequence[ModelId],
    *,
    as_of_ns: int | None = None,
    candidates_tried: int | None = None,
    trained_until_ns: Mapping[str, int] | None = None,
) -> list[Evidence]:
    """Evidence on each candidate, in their order, as known at `as_of_ns` (the log's clock if not given).

    candidates_tried: how many share the error budget; at least and by default those given. trained_until_ns:
    the newest event that a candidate (by digest) was fitted on, where known; only later days are evidence.
    Raises NotFoundError when nothing has been served.
    """
    now_ns = clock_ns(reader)
    query = Query(
        as_of_ns=now_ns if as_of_ns is None else as_of_ns,
        maturity_ns=nanoseconds(task.maturity),
        slice_days=task.policy.slice_days,
    )
    # Every row of the days before this moment has matured: the last of them ended `maturity` ago.
    matured_ns = day_start(query.as_of_ns + 1 - query.maturity_ns)
    oldest_ns = matured_ns - query.slice_days * DAY_NS
    rows = read_rows(
        reader,
        task.signature,
        task.maturity,
        as_of_ns=query.as_of_ns,
        since_ns=oldest_ns,
        champion=champion.digest,
    )
    return [
        _one(
            task,
            reader,
            champion,
            candidate,
            query=query,
            served=rows,
            matured_ns=matured_ns,
            trained_until_ns=(trained_until_ns or {}).get(candidate.digest),
            tried=max(len(candidates), candidates_tried or 0),
        )
        for candidate in candidates
    ]


def _one(
    task: Task,
    reader: LogReader,
    champion: ModelId,
    candidate: ModelId,
    *,
    query: Query,
    served: JoinedRows,
    matured_ns: int,
    trained_until_ns: int | None,
    tried: int,
) -> Evidence:
    scored = read_candidate(reader, candidate.digest, champion.digest, served)
    entered = served.event_ns[scored.entered]
    first_scored_ns = int(entered[0]) if len(entered) else None
    ended_ns = day_start(query.as_of_ns + 1)
    begin_ns = ended_ns if first_scored_ns is None else _first_whole_day(reader, first_scored_ns)
    if trained_until_ns is not None:
        # Rows sent a second time, or with an old date, may be rows that it knows by heart.
        begin_ns = max(begin_ns, day_start(trained_until_ns) + DAY_NS)
    shadowed = _between(served.event_ns, begin_ns, ended_ns)
    judged = _between(served.event_ns, begin_ns, matured_ns)
    labelled = judged[served.labelled[judged]]
    joined = labelled[scored.valued[labelled]]
    days, champion_quality, candidate_quality = _money(task, served.take(joined), scored.take(joined))
    return Evidence(
        task=task.name,
        champion=champion,
        candidate=candidate,
        query=query,
        signature_digest=task.signature.digest,
        costs_digest=task.costs.digest,
        currency=task.costs.currency,
        candidates_tried=tried,
        first_scored_ns=first_scored_ns,
        trained_until_ns=trained_until_ns,
        shadowed=_account(scored.take(shadowed), begin_ns, ended_ns),
        judged=_account(scored.take(judged), begin_ns, matured_ns),
        labelled=len(labelled),
        joined=len(joined),
        days=days,
        champion_quality=champion_quality,
        candidate_quality=candidate_quality,
        latency=_latency(served.take(shadowed), scored.take(shadowed)),
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


def _money(
    task: Task, served: JoinedRows, scored: CandidateRows
) -> tuple[tuple[Day, ...], Quality | None, Quality | None]:
    if not len(served):
        return (), None, None
    champion = task.costs.utility(task.signature, served.blocks, served.decision, served.label)
    candidate = task.costs.utility(task.signature, served.blocks, scored.decision, served.label)
    changed = served.decision != scored.decision
    starts, first = np.unique(served.event_ns // DAY_NS, return_index=True)
    ends = [*first[1:].tolist(), len(served)]
    days = tuple(
        Day(
            day=iso_day(start * DAY_NS),
            decisions=end - begin,
            changed=int(np.count_nonzero(changed[begin:end])),
            champion=float(champion[begin:end].sum()),
            candidate=float(candidate[begin:end].sum()),
            gain=float((candidate[begin:end] - champion[begin:end]).sum()),
        )
        for start, begin, end in zip(starts.tolist(), first.tolist(), ends, strict=True)
    )
    return (
        days,
        _quality(champion, served.decision, served.score, served.label),
        _quality(candidate, scored.decision, scored.score, served.label),
    )


def _quality(
    money: NDArray[np.float64],
    decision: NDArray[np.bool_],
    score: NDArray[np.float32],
    label: NDArray[np.float64],
) -> Quality:
    return Quality(
        utility_per_1000=PER * float(money.mean()),
        act_rate=float(decision.mean()),
        accuracy=float(((score >= EVEN_CHANCE) == (label == 1)).mean()),
        auc=float(roc_auc_score(label, score)) if len(np.unique(label)) > 1 else None,
    )


def _latency(served: JoinedRows, scored: CandidateRows) -> Latency | None:
    rows = np.flatnonzero(scored.valued)
    if not len(rows):
        return None
    return Latency(
        rows=len(rows),
        champion_cpu=_quantiles(served.cpu_ns[rows]),
        candidate_cpu=_quantiles(scored.cpu_ns[rows]),
        champion_infer=_quantiles(served.infer_ns[rows]),
        candidate_infer=_quantiles(scored.infer_ns[rows]),
    )


def _quantiles(durations_ns: NDArray[np.int64]) -> Quantiles:
    # Measured values, not values between them: the inverse of the empirical distribution function.
    p50, p99, p999 = np.quantile(durations_ns, [0.5, 0.99, 0.999], method="inverted_cdf").tolist()
    return Quantiles(p50 / 1_000, p99 / 1_000, p999 / 1_000)
