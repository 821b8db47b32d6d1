"""The rules of the join: which row of a request counts, in which order, and which of a candidate's entries.

What comes out does not depend on the order in which batches were written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.domain import Failure
from sidecar.store.request_index import NO_ROW, RequestIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.codec import Columns

NO_ENTRY = -1
EARLIEST_OUTCOME_NS = 86_400 * 10**9
"""An outcome observed longer than this before the row's event is of something else; clocks differ by less."""
CLOCK_SLACK_NS = 3600 * 10**9
"""How far the clock of the machine that answered may have been set back before the scores came."""


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The rows that count, each request_id once, ordered by (event_ns, request_id).

    rows: int64 [n], where each stands in the order of the log. repeated: bool [n], the request_id was served
    more than once, and this is the row received first. index: of the request ids of `rows`.
    """

    rows: NDArray[np.int64]
    repeated: NDArray[np.bool_]
    index: RequestIndex


def choose_rows(
    request_ids: NDArray[np.bytes_], event_ns: NDArray[np.int64], received_ns: NDArray[np.int64]
) -> Chosen:
    """Of rows with the same request_id the one received first."""
    index = RequestIndex(request_ids)
    rows = np.arange(len(request_ids))
    repeated = np.zeros(len(rows), np.bool_)
    if index.different < len(rows):
        number = index.numbers()
        repeated = np.bincount(number)[number] > 1
        by_arrival = np.lexsort((event_ns, received_ns))
        rows = by_arrival[first_of_each(request_ids[by_arrival])]
    rows = rows[order_of_rows(event_ns[rows], request_ids[rows])]
    return Chosen(rows, repeated[rows], index.taken(rows))


def order_of_rows(event_ns: NDArray[np.int64], request_ids: NDArray[np.bytes_]) -> NDArray[np.int64]:
    """The indices that order rows by (event_ns, request_id)."""
    order = np.argsort(event_ns, kind="stable")
    same = np.diff(event_ns[order]) == 0
    if same.any():
        tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
        rows = order[tied]
        order[tied] = rows[np.lexsort((request_ids[rows], event_ns[rows]))]
    return order


def first_of_each(request_ids: NDArray[np.bytes_]) -> NDArray[np.int64]:
    """The index of the first row of each request_id, in order."""
    return RequestIndex(request_ids).first_rows


def choose_entries(scored: Columns, row_of: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """For each of `rows` rows, which entry of a candidate counts, or NO_ENTRY. int64 [rows].

    scored: failure, score, decision, infer_ns and cpu_ns of the entries; row_of: the row that each is for, or
    NO_ROW. A request scored twice counts as failed if one of the two failed, because a missing value never
    passes. Two values that differ count as none: nothing says which belongs to the row that counts.
    """
    entry = np.full(rows, NO_ENTRY)
    known = np.flatnonzero(row_of != NO_ROW)
    if np.bincount(row_of[known]).max(initial=0) <= 1:
        entry[row_of[known]] = known
        return entry
    # The last one assigned stays: failures come after values, and of equals the one that took longest.
    failure = scored["failure"][known].astype(np.str_)
    order = np.lexsort((scored["infer_ns"][known], scored["cpu_ns"][known], failure))
    entry[row_of[known[order]]] = known[order]
    chosen = entry[row_of[known]]
    differs = np.zeros(len(known), np.bool_)
    for name in ("score", "decision"):
        differs |= scored[name][known] != scored[name][chosen]
    valued = scored["failure"][chosen] == Failure.NONE.value
    entry[row_of[known[differs & valued]]] = NO_ENTRY
    return entry


def choose_outcomes(
    observed_ns: NDArray[np.int64], event_ns: NDArray[np.int64], row_of: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each row, whose events were at event_ns, which outcome is its own, or NO_ENTRY. int64 [rows].

    observed_ns: of the outcomes, one a request; row_of: the row that has its request_id, or NO_ROW.
    """
    meant = row_of != NO_ROW
    meant[meant] = observed_ns[meant] >= event_ns[row_of[meant]] - EARLIEST_OUTCOME_NS
    entry = np.full(len(event_ns), NO_ENTRY)
    entry[row_of[meant]] = np.flatnonzero(meant)
    return entry


def spread(values: NDArray[Any], entry: NDArray[np.int64], other: object) -> NDArray[Any]:
    """The value of each row's entry, and `other` for rows that have none."""
    known = entry != NO_ENTRY
    if known.all():
        return values[entry]
    column = np.repeat(np.array([other], values.dtype), len(entry))
    column[known] = values[entry[known]]
    return column
