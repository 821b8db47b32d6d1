"""The join: served rows, the outcomes that arrived for them, and what candidates made of them.

All by request_id, and all as known at a moment `as_of_ns` on the clock of the events, so that replayed time
works as well as real time and the same question always has the same answer. What is read does not depend on
the order in which batches were written.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from sidecar.domain import Failure
from sidecar.errors import NotFoundError, SignatureMismatchError
from sidecar.signature import Blocks
from trainer.days import nanoseconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from numpy.typing import NDArray

    from sidecar.domain import ServedBatch
    from sidecar.signature import Signature
    from sidecar.store.log import LogReader

UNACCOUNTED = "unaccounted"
"""A row without any Score: the candidate's shadow never said what became of it."""
NO_ENTRY = NO_ROW = -1

Scalar = TypeVar("Scalar", bound=np.generic)
_FAILURE = np.dtype("U16")  # wide enough for every Failure


@dataclass(frozen=True, eq=False)
class JoinedRows:
    """Served rows with their outcomes, each request_id once, ordered by (event_ns, request_id).

    score: float32 [n], decision: bool [n], infer_ns and cpu_ns: int64 [n], all the champion's.
    label: float64 [n], 0 or 1, NaN where neither was known at as_of_ns. matured: bool [n],
    event_ns + maturity <= as_of_ns.
    """

    as_of_ns: int
    request_ids: Sequence[str]
    event_ns: NDArray[np.int64]
    blocks: Blocks
    score: NDArray[np.float32]
    decision: NDArray[np.bool_]
    infer_ns: NDArray[np.int64]
    cpu_ns: NDArray[np.int64]
    label: NDArray[np.float64]
    matured: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.request_ids)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Rows that count: matured, with a label. bool [n]."""
        return self.matured & ~np.isnan(self.label)

    def counts(self) -> dict[str, int]:
        """Rows served, labelled (matured with a label), expired (matured without), pending (not matured)."""
        labelled = int(np.count_nonzero(self.labelled))
        matured = int(np.count_nonzero(self.matured))
        return {
            "served": len(self),
            "labelled": labelled,
            "expired": matured - labelled,
            "pending": len(self) - matured,
        }

    def take(self, rows: NDArray[np.int64]) -> JoinedRows:
        """The rows at these indices."""
        return JoinedRows(
            as_of_ns=self.as_of_ns,
            request_ids=[self.request_ids[row] for row in rows.tolist()],
            event_ns=self.event_ns[rows],
            blocks=self.blocks.take(rows),
            score=self.score[rows],
            decision=self.decision[rows],
            infer_ns=self.infer_ns[rows],
            cpu_ns=self.cpu_ns[rows],
            label=self.label[rows],
            matured=self.matured[rows],
        )


@dataclass(frozen=True, eq=False)
class CandidateRows:
    """What a candidate made of n served rows, in their order.

    failure: text [n], "" where the candidate gave a value, UNACCOUNTED where the row has no Score.
    score, decision, infer_ns, cpu_ns as in `ScoreBatch`.
    """

    failure: NDArray[np.str_]
    score: NDArray[np.float32]
    decision: NDArray[np.bool_]
    infer_ns: NDArray[np.int64]
    cpu_ns: NDArray[np.int64]

    @property
    def entered(self) -> NDArray[np.bool_]:
        """Rows that have a Score, be it a failure. bool [n]."""
        return np.not_equal(self.failure, UNACCOUNTED)

    @property
    def valued(self) -> NDArray[np.bool_]:
        """Rows that the candidate gave a value for. bool [n]."""
        return np.equal(self.failure, Failure.NONE.value)

    def take(self, rows: NDArray[np.int64]) -> CandidateRows:
        """The rows at these indices."""
        return CandidateRows(
            self.failure[rows], self.score[rows], self.decision[rows], self.infer_ns[rows], self.cpu_ns[rows]
        )


def clock_ns(reader: LogReader) -> int:
    """How late it is by the log: the time of its newest event, or this machine's when that is earlier.

    So one request with a date in the future does not make every other row look matured. Raises NotFoundError
    when nothing has been served.
    """
    watermark_ns = reader.watermark_ns()
    if watermark_ns is None:
        raise NotFoundError("the log has no served row yet; send some traffic through the sidecar")
    return min(watermark_ns, time.time_ns())


def read_rows(
    reader: LogReader,
    signature: Signature,
    maturity: timedelta,
    *,
    as_of_ns: int | None = None,
    since_ns: int | None = None,
    champion: str | None = None,
) -> JoinedRows:
    """Rows with since_ns <= event_ns <= as_of_ns, of one champion (by digest) if given, with their outcomes.

    as_of_ns: the log's clock when not given. Of rows with the same request_id the one received first counts.
    Raises NotFoundError when nothing has been served, and SignatureMismatchError when rows have other columns
    than the signature.
    """
    now_ns = clock_ns(reader) if as_of_ns is None else as_of_ns
    batches = list(reader.served(since_ns=since_ns, until_ns=now_ns + 1, champion=champion))
    for batch in batches:
        check_columns(signature, batch.blocks)
    ids = [request_id for batch in batches for request_id in batch.request_ids]
    event_ns = _column([batch.event_ns for batch in batches], np.int64)
    rows = _first_received(ids, event_ns, batches)
    ids = [ids[row] for row in rows.tolist()]
    event_ns = event_ns[rows]
    return JoinedRows(
        as_of_ns=now_ns,
        request_ids=ids,
        event_ns=event_ns,
        blocks=Blocks.concat([_no_rows(signature), *(batch.blocks for batch in batches)]).take(rows),
        score=_column([batch.score for batch in batches], np.float32)[rows],
        decision=_column([batch.decision for batch in batches], np.bool_)[rows],
        infer_ns=_column([batch.infer_ns for batch in batches], np.int64)[rows],
        cpu_ns=_column([batch.cpu_ns for batch in batches], np.int64)[rows],
        label=_labels(reader, ids, now_ns),
        matured=event_ns + nanoseconds(maturity) <= now_ns,
    )


def read_candidate(reader: LogReader, candidate: str, champion: str, rows: JoinedRows) -> CandidateRows:
    """What `candidate` made of `rows` while `champion` served them (digests).

    A request scored twice counts as failed if one of the two failed, because a missing value never passes.
    Two values that differ count as none, because nothing says which of them belongs to the row that counts.
    """
    place = {request_id: row for row, request_id in enumerate(rows.request_ids)}
    batches = list(reader.scores(candidate, champion))
    scored = CandidateRows(
        failure=np.concatenate(
            [np.empty(0, _FAILURE), *(np.array(list(batch.failure), _FAILURE) for batch in batches)]
        ),
        score=_column([batch.score for batch in batches], np.float32),
        decision=_column([batch.decision for batch in batches], np.bool_),
        infer_ns=_column([batch.infer_ns for batch in batches], np.int64),
        cpu_ns=_column([batch.cpu_ns for batch in batches], np.int64),
    )
    ids = chain.from_iterable(batch.request_ids for batch in batches)
    row_of = np.fromiter(map(place.get, ids, repeat(NO_ROW)), np.int64, len(scored.failure))
    entry = _entries(scored, row_of, len(rows))
    found = entry != NO_ENTRY

    def spread(values: NDArray[Scalar], column: NDArray[Scalar]) -> NDArray[Scalar]:
        column[found] = values[entry[found]]
        return column

    count = len(rows)
    return CandidateRows(
        failure=spread(scored.failure, np.full(count, UNACCOUNTED, _FAILURE)),
        score=spread(scored.score, np.full(count, np.nan, np.float32)),
        decision=spread(scored.decision, np.zeros(count, np.bool_)),
        infer_ns=spread(scored.infer_ns, np.zeros(count, np.int64)),
        cpu_ns=spread(scored.cpu_ns, np.zeros(count, np.int64)),
    )


def order_of_rows(event_ns: NDArray[np.int64], request_ids: Sequence[str]) -> NDArray[np.int64]:
    """The indices that order rows by (event_ns, request_id)."""
    by_time = np.argsort(event_ns, kind="stable")
    if (np.diff(event_ns[by_time]) != 0).all():
        return by_time
    by_id = np.array(sorted(range(len(request_ids)), key=request_ids.__getitem__), np.int64)
    return by_id[np.argsort(event_ns[by_id], kind="stable")]


def first_of_each(request_ids: Sequence[str]) -> NDArray[np.int64]:
    """The index of the first row of each request_id, in order."""
    if len(set(request_ids)) == len(request_ids):
        return np.arange(len(request_ids))
    first: dict[str, int] = {}
    for row, request_id in enumerate(request_ids):
        first.setdefault(request_id, row)
    return np.fromiter(first.values(), np.int64, len(first))


def check_columns(signature: Signature, blocks: Blocks) -> None:
    """Raise SignatureMismatchError when blocks have other columns than the signature."""
    wanted = (len(signature.numbers), len(signature.integers), len(signature.texts))
    given = (blocks.numbers.shape[1], blocks.integers.shape[1], blocks.texts.shape[1])
    if wanted != given:
        raise SignatureMismatchError(
            f"rows have {given} number, integer and text columns, the task has {wanted}; "
            "use the task that the champion was trained with"
        )


def _first_received(
    ids: Sequence[str], event_ns: NDArray[np.int64], batches: Sequence[ServedBatch]
) -> NDArray[np.int64]:
    received_ns = _column([batch.received_ns for batch in batches], np.int64)
    order = np.lexsort((event_ns, received_ns))
    rows = order[first_of_each([ids[row] for row in order.tolist()])]
    return rows[order_of_rows(event_ns[rows], [ids[row] for row in rows.tolist()])]


def _labels(reader: LogReader, ids: Sequence[str], as_of_ns: int) -> NDArray[np.float64]:
    outcomes = reader.outcomes(as_of_ns)
    # An outcome that is neither has no utility, so the row counts as one without an outcome.
    label = np.where(np.isin(outcomes.label, (0.0, 1.0)), outcomes.label, np.nan)
    known = dict(zip(outcomes.request_ids, label.tolist(), strict=True))
    return np.fromiter(map(known.get, ids, repeat(np.nan)), np.float64, len(ids))


def _entries(scored: CandidateRows, row_of: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """For each of `count` rows, the position of its entry in `scored`, or NO_ENTRY.

    row_of: the row that each entry is for, or NO_ROW.
    """
    entry = np.full(count, NO_ENTRY)
    known = np.flatnonzero(row_of != NO_ROW)
    if np.bincount(row_of[known]).max(initial=0) <= 1:
        entry[row_of[known]] = known
        return entry
    # The last one assigned stays: failures come after values, and of equals the one that took longest.
    order = np.lexsort((scored.infer_ns[known], scored.cpu_ns[known], scored.failure[known]))
    entry[row_of[known[order]]] = known[order]
    chosen = entry[row_of[known]]
    differs = (scored.score[known] != scored.score[chosen]) | (
        scored.decision[known] != scored.decision[chosen]
    )
    entry[row_of[known[differs & scored.valued[chosen]]]] = NO_ENTRY
    return entry


def _column(parts: Sequence[NDArray[Scalar]], dtype: type[Scalar]) -> NDArray[Scalar]:
    return np.concatenate([np.empty(0, dtype), *parts], dtype=dtype)


def _no_rows(signature: Signature) -> Blocks:
    return Blocks(
        np.empty((0, len(signature.numbers)), np.float32),
        np.empty((0, len(signature.integers)), np.int64),
        np.empty((0, len(signature.texts)), object),
    )
