"""The join: served rows, the outcomes that arrived for them, and what candidates made of them.

All by request_id, and all as known at a moment `as_of_ns` on the clock of the events, so that replayed time
works as well as real time and the same question always has the same answer. What is read does not depend on
the order in which batches were written.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.codec import WRITTEN
from sidecar.domain import Failure
from sidecar.errors import NotFoundError, SignatureMismatchError
from sidecar.signature import Blocks
from sidecar.store.joining import (
    CLOCK_SLACK_NS,
    EARLIEST_OUTCOME_NS,
    choose_entries,
    choose_outcomes,
    choose_rows,
    spread,
)
from sidecar.store.part import chosen_columns, joined_columns
from sidecar.store.request_index import NO_ROW, same_ids
from trainer.days import nanoseconds
from trainer.hidden_outcomes import is_hidden, stands_for

if TYPE_CHECKING:
    from datetime import timedelta

    from numpy.typing import NDArray

    from sidecar.codec import Columns
    from sidecar.signature import Signature
    from sidecar.store.reader import LogReader, OutcomeTable
    from sidecar.store.request_index import RequestIndex

UNACCOUNTED = "unaccounted"
"""A row without any Score: the candidate's shadow never said what became of it."""

_NO_KEYS: Columns = {
    "request_ids": np.empty(0, np.bytes_),
    "event_ns": np.empty(0, np.int64),
    "received_ns": np.empty(0, np.int64),
}
_READ = (
    *_NO_KEYS,
    *("score", "decision", "propensity", "infer_ns", "cpu_ns"),
    *("numbers", "integers", "texts"),
    WRITTEN,
)
_NO_SCORES: Columns = {
    "request_ids": np.empty(0, np.bytes_),
    "failure": np.empty(0, object),
    "score": np.empty(0, np.float32),
    "decision": np.empty(0, np.bool_),
    "infer_ns": np.empty(0, np.int64),
    "cpu_ns": np.empty(0, np.int64),
    WRITTEN: np.empty(0, np.int64),
}
_SCORED = tuple(_NO_SCORES)
_MADE = {"failure": UNACCOUNTED, "score": np.nan, "decision": False, "infer_ns": 0, "cpu_ns": 0, WRITTEN: 0}
"""What a candidate made of a row, and what stands there when it has no Score."""


@dataclass(frozen=True, eq=False)
class JoinedRows:
    """Served rows with their outcomes, each request_id once, ordered by (event_ns, request_id).

    index: of request_ids. request_ids: bytes (S, ASCII) [n]. received_ns and event_ns: int64 [n]. score:
    float32 [n], decision: bool [n], infer_ns and cpu_ns: int64 [n], all the champion's. hidden: bool [n], the
    reply's action hid the outcome. propensity: float32 [n], see `ServedBatch`; 1 where no action hides it.
    label: float64 [n], 0 or 1, NaN where neither was known at as_of_ns, or the outcome is hidden. matured:
    bool [n], event_ns + maturity <= as_of_ns. logged: int64 [n], rising in the order of the log. written_ns:
    int64 [n], see `LogStore.write`; observed_ns, recorded_ns: of its outcome, int64 [n], 0 without one.
    repeated: bool [n], the request_id was served more than once, and this is the row received first.
    """

    as_of_ns: int
    index: RequestIndex
    request_ids: NDArray[np.bytes_]
    received_ns: NDArray[np.int64]
    event_ns: NDArray[np.int64]
    blocks: Blocks
    score: NDArray[np.float32]
    decision: NDArray[np.bool_]
    propensity: NDArray[np.float32]
    hidden: NDArray[np.bool_]
    infer_ns: NDArray[np.int64]
    cpu_ns: NDArray[np.int64]
    label: NDArray[np.float64]
    matured: NDArray[np.bool_]
    logged: NDArray[np.int64]
    written_ns: NDArray[np.int64]
    observed_ns: NDArray[np.int64]
    recorded_ns: NDArray[np.int64]
    repeated: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.request_ids)

    @cached_property
    def _as_logged(self) -> NDArray[np.int64]:
        order = np.full(int(self.logged.max(initial=NO_ROW)) + 1, NO_ROW)
        order[self.logged] = np.arange(len(self))
        return np.asarray(order[order != NO_ROW])

    @cached_property
    def _ids_as_logged(self) -> NDArray[np.bytes_]:
        return self.request_ids[self._as_logged]

    def rows_of(self, request_ids: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """Which row each of these requests is, or NO_ROW. int64 [m]."""
        # A candidate scores in the order of serving, so most often its rows are the log's very rows.
        if same_ids(request_ids, self._ids_as_logged):
            return self._as_logged
        return self.index.rows_of(request_ids)

    @cached_property
    def labelled(self) -> NDArray[np.bool_]:
        """Rows that count: matured, with a label. bool [n]."""
        return self.matured & ~np.isnan(self.label)

    @cached_property
    def weight(self) -> NDArray[np.float64]:
        """How many rows each stands for, see `stands_for`. float64 [n]."""
        return stands_for(self.propensity, self.hidden)

    def counts(self) -> dict[str, int]:
        """Rows by what became of their outcomes.

        served; labelled: matured with a label; hidden, where any is: matured, and the reply hid it; expired:
        matured without; pending: not matured.
        """
        labelled = int(np.count_nonzero(self.labelled))
        hidden = int(np.count_nonzero(self.matured & self.hidden))
        matured = int(np.count_nonzero(self.matured))
        return {
            "served": len(self),
            "labelled": labelled,
            **({"hidden": hidden} if hidden else {}),
            "expired": matured - labelled - hidden,
            "pending": len(self) - matured,
        }

    def take(self, rows: NDArray[np.int64]) -> JoinedRows:
        """The rows at these indices."""
        return JoinedRows(
            as_of_ns=self.as_of_ns,
            index=self.index.taken(rows),
            request_ids=self.request_ids[rows],
            received_ns=self.received_ns[rows],
            event_ns=self.event_ns[rows],
            blocks=self.blocks.take(rows),
            score=self.score[rows],
            decision=self.decision[rows],
            propensity=self.propensity[rows],
            hidden=self.hidden[rows],
            infer_ns=self.infer_ns[rows],
            cpu_ns=self.cpu_ns[rows],
            label=self.label[rows],
            matured=self.matured[rows],
            logged=self.logged[rows],
            written_ns=self.written_ns[rows],
            observed_ns=self.observed_ns[rows],
            recorded_ns=self.recorded_ns[rows],
            repeated=self.repeated[rows],
        )


@dataclass(frozen=True, eq=False)
class CandidateRows:
    """What a candidate made of n served rows, in their order.

    failure: object (str) [n], "" where the candidate gave a value, UNACCOUNTED where the row has no Score.
    score, decision, infer_ns, cpu_ns as in `ScoreBatch`. written_ns: int64 [n], see `LogStore.write`.
    """

    failure: NDArray[np.object_]
    score: NDArray[np.float32]
    decision: NDArray[np.bool_]
    infer_ns: NDArray[np.int64]
    cpu_ns: NDArray[np.int64]
    written_ns: NDArray[np.int64]

    @property
    def entered(self) -> NDArray[np.bool_]:
        """Rows that have a Score, be it a failure. bool [n]."""
        entered: NDArray[np.bool_] = self.failure != UNACCOUNTED
        return entered

    @property
    def valued(self) -> NDArray[np.bool_]:
        """Rows that the candidate gave a value for. bool [n]."""
        valued: NDArray[np.bool_] = self.failure == Failure.NONE.value
        return valued

    def take(self, rows: NDArray[np.int64]) -> CandidateRows:
        """The rows at these indices."""
        return CandidateRows(*(column[rows] for column in self._columns))

    def replaced(self, rows: NDArray[np.int64], by: CandidateRows) -> CandidateRows:
        """The same, but at these indices what another made of the rows."""
        columns = [column.copy() for column in self._columns]
        for column, other in zip(columns, by._columns, strict=True):
            column[rows] = other[rows]
        return CandidateRows(*columns)

    @property
    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self.failure, self.score, self.decision, self.infer_ns, self.cpu_ns, self.written_ns


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
    hidden_by: str | None = None,
) -> JoinedRows:
    """Rows with since_ns <= event_ns <= as_of_ns, of one champion (by digest) if given, with their outcomes.

    hidden_by: the action that hides the outcome, if one does. An outcome that arrives all the same for a row
    whose reply took it is not used: it came another way than the others (a complaint, a guess), so which of
    these rows have one is no matter of chance.
    as_of_ns: the log's clock when not given. Of rows with the same request_id the one received first counts.
    Raises NotFoundError when nothing has been served, and SignatureMismatchError when rows have other columns
    than the signature.
    """
    now_ns = clock_ns(reader) if as_of_ns is None else as_of_ns
    with ThreadPoolExecutor(1) as beside:  # SQLite and numpy share two cores well
        reported = beside.submit(_outcomes, reader, now_ns, since_ns)
        parts = [
            part.columns
            for part in reader.served_parts(_READ, since_ns=since_ns, until_ns=now_ns + 1, champion=champion)
        ]
        keys = joined_columns(parts, _NO_KEYS)
        chosen = choose_rows(**keys)
        event_ns = keys["event_ns"][chosen.rows]
        known = beside.submit(lambda: _known(reported.result(), chosen.index, event_ns))
        found = chosen_columns(parts, _no_rows(signature), chosen.rows)
        label, observed_ns, recorded_ns = known.result()
    hidden = is_hidden(found["decision"], found["propensity"], hidden_by)
    label[hidden] = np.nan
    return JoinedRows(
        as_of_ns=now_ns,
        index=chosen.index,
        request_ids=chosen.index.request_ids,
        received_ns=keys["received_ns"][chosen.rows],
        event_ns=event_ns,
        blocks=Blocks(found["numbers"], found["integers"], found["texts"]),
        score=found["score"],
        decision=found["decision"],
        propensity=np.ones_like(found["propensity"]) if hidden_by is None else found["propensity"],
        hidden=hidden,
        infer_ns=found["infer_ns"],
        cpu_ns=found["cpu_ns"],
        label=label,
        matured=event_ns + nanoseconds(maturity) <= now_ns,
        logged=chosen.rows,
        written_ns=found[WRITTEN],
        observed_ns=observed_ns,
        recorded_ns=recorded_ns,
        repeated=chosen.repeated,
    )


def read_candidate(reader: LogReader, candidate: str, champion: str, rows: JoinedRows) -> CandidateRows:
    """What `candidate` made of `rows` while `champion` served them (digests); see `choose_entries`."""
    request_ids, scored = read_scores(reader, candidate, champion, rows)
    row_of = rows.rows_of(request_ids)
    if np.array_equal(row_of, np.arange(len(rows))):
        return scored
    entry = choose_entries({name: getattr(scored, name) for name in _MADE}, row_of, len(rows))
    return CandidateRows(**{name: spread(getattr(scored, name), entry, _MADE[name]) for name in _MADE})


def read_scores(
    reader: LogReader, candidate: str, champion: str, rows: JoinedRows
) -> tuple[NDArray[np.bytes_], CandidateRows]:
    """The entries of `candidate` that may be of `rows`, in the order of the log, and their request_ids."""
    since_ns = int(rows.received_ns.min(initial=np.iinfo(np.int64).max)) - CLOCK_SLACK_NS
    parts = reader.score_parts(_SCORED, candidate, champion, written_since_ns=since_ns)
    found = joined_columns((part.columns for part in parts), _NO_SCORES)
    return found.pop("request_ids"), CandidateRows(**found)


def check_columns(signature: Signature, blocks: Blocks) -> None:
    """Raise SignatureMismatchError when blocks have other columns than the signature."""
    wanted = (len(signature.numbers), len(signature.integers), len(signature.texts))
    given = (blocks.numbers.shape[1], blocks.integers.shape[1], blocks.texts.shape[1])
    if wanted != given:
        raise SignatureMismatchError(
            f"rows have {given} number, integer and text columns, the task has {wanted}; "
            "use the task that the champion was trained with"
        )


def _outcomes(reader: LogReader, as_of_ns: int, since_ns: int | None) -> OutcomeTable:
    with reader.another() as another:
        return another.outcomes(as_of_ns, None if since_ns is None else since_ns - EARLIEST_OUTCOME_NS)


def _known(
    outcomes: OutcomeTable, index: RequestIndex, event_ns: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Of each row of the index, whose events were at event_ns: label, observed_ns and recorded_ns."""
    entry = choose_outcomes(outcomes.observed_ns, event_ns, index.rows_of(outcomes.request_ids))
    # An outcome that is neither has no utility, so the row counts as one without an outcome.
    label = np.where((outcomes.label == 0) | (outcomes.label == 1), outcomes.label, np.nan)
    return (
        spread(label, entry, np.nan),
        spread(outcomes.observed_ns, entry, 0),
        spread(outcomes.recorded_ns, entry, 0),
    )


def _no_rows(signature: Signature) -> Columns:
    return {
        "score": np.empty(0, np.float32),
        "decision": np.empty(0, np.bool_),
        "propensity": np.empty(0, np.float32),
        "infer_ns": np.empty(0, np.int64),
        "cpu_ns": np.empty(0, np.int64),
        "numbers": np.empty((0, len(signature.numbers)), np.float32),
        "integers": np.empty((0, len(signature.integers)), np.int64),
        "texts": np.empty((0, len(signature.texts)), object),
        WRITTEN: np.empty(0, np.int64),
    }
