"""The flights as live traffic: decisions asked for when due, outcomes reported once known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.domain import Outcome
from trainer.days import nanoseconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flights_data import Flights
    from numpy.typing import NDArray

    from sidecar.signature import FieldValue

TICK = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Request:
    """A decision that is due. fields: plain Python values by name, None for missing."""

    request_id: str
    event_ns: int
    fields: Mapping[str, FieldValue]


@dataclass(frozen=True, slots=True)
class Tick:
    """What happens from the end of the tick before until before `until_ns`, in order of time.

    requests: the decisions due. outcomes: what became known; each belongs to a request of an earlier tick,
    because no outcome is known within two hours of its decision.
    """

    until_ns: int
    requests: Sequence[Request]
    outcomes: Sequence[Outcome]


class Traffic:
    """A replay with a clock of its own, which starts at `since_ns` and only goes forward.

    Outcomes come of flights that the replay itself asked for, never of earlier ones.
    """

    def __init__(self, flights: Flights, since_ns: int) -> None:
        self.now_ns = since_ns
        """What happened before this moment has been replayed."""
        self._flights = flights.take(flights.event_ns >= since_ns)
        self._by_known = np.argsort(self._flights.known_ns, kind="stable")
        self._known_ns = self._flights.known_ns[self._by_known]

    def until(self, until_ns: int, step: timedelta = TICK) -> Iterator[Tick]:
        """Go on to `until_ns`, tick by tick; ticks in which nothing happens are left out.

        The clock moves on as the ticks are taken. step: at most two hours, see `Tick`.
        """
        step_ns = nanoseconds(step)
        while self.now_ns < until_ns:
            end_ns = min(self.now_ns + step_ns, until_ns)
            requests = self._requests(*np.searchsorted(self._flights.event_ns, [self.now_ns, end_ns]))
            outcomes = self._outcomes(*np.searchsorted(self._known_ns, [self.now_ns, end_ns]))
            self.now_ns = end_ns
            if requests or outcomes:
                yield Tick(end_ns, requests, outcomes)

    def _requests(self, first: int, last: int) -> list[Request]:
        due = self._flights.take(slice(first, last))
        names = tuple(due.columns)
        rows = zip(*(_plain(column) for column in due.columns.values()), strict=True)
        return [
            Request(request_id, event_ns, dict(zip(names, row, strict=True)))
            for request_id, event_ns, row in zip(due.request_ids, due.event_ns.tolist(), rows, strict=True)
        ]

    def _outcomes(self, first: int, last: int) -> list[Outcome]:
        known = self._flights.take(self._by_known[first:last])
        return [
            Outcome(request_id, label, None, known_ns)
            for request_id, label, known_ns in zip(
                known.request_ids, known.label.tolist(), known.known_ns.tolist(), strict=True
            )
        ]


def _plain(column: NDArray[Any]) -> list[FieldValue]:
    """Turn a column into Python values, None for NaN."""
    values: list[FieldValue] = column.tolist()
    if column.dtype.kind == "f":
        for row in np.flatnonzero(np.isnan(column)).tolist():
            values[row] = None
    return values
