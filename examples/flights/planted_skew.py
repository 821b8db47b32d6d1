"""Mistakes that a caller could make with the flights, each as it is in the wild: one new version makes it.

A mistake takes the right raw columns of rows and gives them as the wrong version would send them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flights_data import Flights
    from numpy.typing import NDArray

    Columns = Mapping[str, NDArray[Any]]

_HOUR_NS = 3_600 * 10**9


@dataclass(frozen=True)
class Plant:
    """One mistake. kind, fields: what the audit must name it as. changes: the columns that are sent instead.

    changes gets the flights that are sent wrongly, and all flights of the year.
    """

    name: str
    kind: str
    fields: tuple[str, ...]
    changes: Callable[[Flights, Flights], Columns]


def _scaled(field: str, factor: float, offset: float = 0.0) -> Callable[[Flights, Flights], Columns]:
    return lambda sent, _: {field: sent.columns[field] * factor + offset}


def _filled(field: str, value: float) -> Callable[[Flights, Flights], Columns]:
    return lambda sent, _: {field: np.nan_to_num(sent.columns[field], nan=value)}


def _exchanged(one: str, other: str) -> Callable[[Flights, Flights], Columns]:
    return lambda sent, _: {one: sent.columns[other], other: sent.columns[one]}


def _in_utc(sent: Flights, _: Flights) -> Columns:
    """The scheduled minute of the day in UTC: decisions are made two hours before it."""
    return {"minute_of_day": (sent.event_ns // (_HOUR_NS // 60) + 120) % 1440}


def _late(field: str, hours: int) -> Callable[[Flights, Flights], Columns]:
    """The weather of some hours before, at the same airport."""

    def changes(sent: Flights, year: Flights) -> Columns:
        then = dict(zip(_airport_hours(year), year.columns[field].tolist(), strict=True))
        keys = ((airport, hour - hours) for airport, hour in _airport_hours(sent))
        return {field: np.array([then.get(key, np.nan) for key in keys])}

    return changes


def _frozen(field: str) -> Callable[[Flights, Flights], Columns]:
    """The weather at the version's first row of each airport, ever after."""

    def changes(sent: Flights, _: Flights) -> Columns:
        first: dict[str, float] = {}
        for airport, value in zip(sent.columns["origin"], sent.columns[field].tolist(), strict=True):
            first.setdefault(airport, value)
        return {field: np.array([first[airport] for airport in sent.columns["origin"]])}

    return changes


def _airport_hours(flights: Flights) -> Sequence[tuple[str, int]]:
    return list(zip(flights.columns["origin"], (flights.event_ns // _HOUR_NS).tolist(), strict=True))


def _cast(field: str, dtype: type) -> Callable[[Flights, Flights], Columns]:
    return lambda sent, _: {field: sent.columns[field].astype(dtype).astype(np.float64)}


PLANTS = (
    Plant("unit: distance a thousand times too large", "unit", ("distance",), _scaled("distance", 1000)),
    Plant("unit: temperature in Celsius", "unit", ("temp",), _scaled("temp", 5 / 9, -160 / 9)),
    Plant("unit: block time in hours", "unit", ("block_minutes",), _scaled("block_minutes", 1 / 60)),
    Plant("default: 0 for no delay known", "default", ("dest_delay_6h",), _filled("dest_delay_6h", 0.0)),
    Plant("swap: temperature and dew point", "swap", ("temp", "dewp"), _exchanged("temp", "dewp")),
    Plant("swap: origin and destination", "swap", ("origin", "dest"), _exchanged("origin", "dest")),
    Plant("zone: scheduled time in UTC", "zone", ("minute_of_day",), _in_utc),
    Plant("stale: pressure a day old", "stale", ("pressure",), _late("pressure", 24)),
    Plant("stale: dew point never refreshed", "stale", ("dewp",), _frozen("dewp")),
    Plant("cast: delays in float16", "cast", ("carrier_delay_4h",), _cast("carrier_delay_4h", np.float16)),
)
