"""The public example: what it knows, when it knows it, and the order in which it tells."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import flights_data
import numpy as np
import pandas as pd
import pytest
from check_reference import REFERENCES
from flights_data import NEW_YORK, Flights, load_flights, new_york_ns, read_table
from replay import Replay
from traffic import Request, Tick, Traffic

from sidecar.errors import InvalidRequestError
from trainer.days import nanoseconds
from trainer.task import load_task

if TYPE_CHECKING:
    from sidecar.domain import Outcome
    from sidecar.signature import FieldValue

TASK = Path(flights_data.__file__).with_name("task.py")
HOUR_NS = 3600 * 10**9


@pytest.fixture(scope="module")
def flights() -> Flights:
    return load_flights()


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    """The year as the package has it, with UTC times worked out from its own columns, by request_id."""
    table = read_table("flights.csv.zip")
    table["scheduled"] = pd.to_datetime(table["time_hour"]) + pd.to_timedelta(table["minute"], unit="min")
    table["decided"] = table["scheduled"] - timedelta(hours=2)
    table["left"] = table["scheduled"] + pd.to_timedelta(table["dep_delay"], unit="min")
    dates = pd.to_datetime(table[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    table.index = pd.Index(
        dates + "-" + table["carrier"] + table["flight"].astype(str) + "-" + table["origin"]
    )
    return table


def value(flights: Flights, name: str, request_id: str):
    return flights.columns[name][row_of(flights, request_id)]


def row_of(flights: Flights, request_id: str) -> int:
    return int(np.flatnonzero(flights.request_ids == request_id)[0])


def test_the_whole_year_is_there_in_order(flights: Flights):
    assert len(flights) == 336_776
    assert len(set(flights.request_ids)) == len(flights)
    order = np.lexsort((flights.request_ids, flights.event_ns))
    assert np.array_equal(order, np.arange(len(flights)))


def test_decisions_fall_two_hours_before_the_schedule_whatever_the_clock(flights: Flights, raw: pd.DataFrame):
    decided = pd.DatetimeIndex(raw["decided"].loc[flights.request_ids.tolist()]).as_unit("ns").asi8
    assert np.array_equal(flights.event_ns, decided)


@pytest.mark.parametrize(
    ("day", "utc_hour"), [("2013-03-09", 11), ("2013-03-10", 10), ("2013-11-02", 10), ("2013-11-03", 11)]
)
def test_the_clocks_change_with_new_york(day: str, utc_hour: int):
    assert new_york_ns(f"{day} 06:00") == nanoseconds(
        datetime.fromisoformat(f"{day}T{utc_hour}:00+00:00") - datetime(1970, 1, 1, tzinfo=UTC)
    )


def test_scheduled_time_in_the_air_minds_both_time_zones(flights: Flights):
    # 09:00 in New York to 15:30 in Honolulu, five hours behind in January and six in July.
    assert value(flights, "block_minutes", "2013-01-02-HA51-JFK") == 11.5 * 60
    assert value(flights, "block_minutes", "2013-07-30-HA51-JFK") == 10.5 * 60
    # Overnight, and over the end of summer time: every flight keeps a speed that an airliner can.
    speed = flights.columns["distance"] / flights.columns["block_minutes"] * 60
    assert speed.max() < 600
    assert flights.columns["block_minutes"].max() < 12 * 60


def test_label_rates_are_those_of_the_seasons(flights: Flights, raw: pd.DataFrame):
    month = raw["month"].loc[flights.request_ids.tolist()].to_numpy()
    assert flights.label[month == 10].mean() == pytest.approx(0.106, abs=0.001)
    assert flights.label[month == 7].mean() == pytest.approx(0.267, abs=0.001)
    assert np.count_nonzero(flights.known_ns < new_york_ns("2013-03-16")) == 65_947


def test_the_label_is_known_when_the_flight_is_over(flights: Flights, raw: pd.DataFrame):
    cancelled = raw.index[raw["dep_time"].isna()][0]
    diverted = raw.index[raw["dep_time"].notna() & raw["air_time"].isna()][0]
    late, early = raw.index[raw["arr_delay"] == 30][0], raw.index[raw["arr_delay"] == 29][0]
    for request_id, label, known in (
        (cancelled, 1, raw["scheduled"][cancelled] + timedelta(hours=1)),
        (diverted, 1, raw["left"][diverted] + timedelta(hours=6)),
        (late, 1, raw["left"][late] + timedelta(minutes=raw["air_time"][late] + 20)),
        (early, 0, raw["left"][early] + timedelta(minutes=raw["air_time"][early] + 20)),
    ):
        row = row_of(flights, request_id)
        assert flights.label[row] == label
        assert flights.known_ns[row] == known.as_unit("ns").value


def test_no_label_is_known_before_its_decision_or_after_maturity(flights: Flights):
    waited = flights.known_ns - flights.event_ns
    assert waited.min() > 2 * HOUR_NS
    assert waited.max() < nanoseconds(load_task(TASK).maturity)


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("wind_gust", 0.77),
        ("aircraft_delay_14h", 0.66),
        ("dest_delay_6h", 0.20),
        ("seats", 0.16),
        ("pressure", 0.11),
    ],
)
def test_missing_shares(flights: Flights, name: str, share: float):
    assert np.isnan(flights.columns[name]).mean() == pytest.approx(share, abs=0.006)


def sampled(flights: Flights) -> list[str]:
    """Flights at random, and those at the edges: the first, the last, and days when the clocks changed."""
    chance = np.random.default_rng(0)
    changes = np.searchsorted(
        flights.event_ns, [new_york_ns(f"{day} 05:00") for day in ("2013-03-10", "2013-11-03")]
    )
    rows = [0, 1, len(flights) - 1, *changes, *chance.integers(0, len(flights), 20)]
    return [str(request_id) for request_id in flights.request_ids[rows]]


def test_delays_are_those_of_departures_already_flown(flights: Flights, raw: pd.DataFrame):
    for request_id in sampled(flights):
        asked = raw.loc[request_id]
        day = raw[(raw["left"] > asked["decided"] - timedelta(hours=14)) & (raw["left"] <= asked["decided"])]
        for column, hours in (("origin", 2), ("carrier", 4), ("dest", 6)):
            seen = day[
                (day["left"] > asked["decided"] - timedelta(hours=hours)) & (day[column] == asked[column])
            ]
            assert value(flights, f"{column}_count_{hours}h", request_id) == len(seen), request_id
            mean = seen["dep_delay"].clip(-30, 180).mean()
            np.testing.assert_allclose(
                value(flights, f"{column}_delay_{hours}h", request_id), mean, rtol=1e-12
            )
        last = day[day["tailnum"] == asked["tailnum"]].sort_values("left")["dep_delay"].clip(-30, 180).tail(1)
        got = value(flights, "aircraft_delay_14h", request_id)
        np.testing.assert_equal(got, last.iloc[0] if len(last) else np.nan)


def test_weather_is_that_of_the_last_full_hour(flights: Flights, raw: pd.DataFrame):
    weather = read_table("weather.csv")
    weather["hour_began"] = pd.to_datetime(weather["time_hour"])
    found = 0
    for request_id in sampled(flights):
        asked = raw.loc[request_id]
        ended = weather["hour_began"] + timedelta(hours=1)
        fits = (
            (weather["origin"] == asked["origin"])
            & (ended <= asked["decided"])
            & (ended > asked["decided"] - timedelta(hours=1))
        )
        assert fits.sum() <= 1
        for name in ("temp", "wind_gust", "pressure"):
            wanted = weather.loc[fits, name].iloc[0] if fits.any() else np.nan
            np.testing.assert_equal(value(flights, name, request_id), wanted)
        found += fits.sum()
    assert found > 15


def test_the_past_does_not_know_the_future(
    flights: Flights, monkeypatch: pytest.MonkeyPatch, raw: pd.DataFrame
):
    now = datetime(2013, 6, 13, 17, 30, tzinfo=NEW_YORK)

    def read_changed(file: str) -> pd.DataFrame:
        table = read_table(file)
        if file == "flights.csv.zip":
            later = (raw["left"] > now).to_numpy()
            table.loc[later, "dep_delay"] += 500
            later = later | (raw["left"].isna() & (raw["decided"] > now)).to_numpy()
            table.loc[later, ["arr_delay", "air_time"]] = 900.0
        elif file == "weather.csv":
            table.loc[pd.to_datetime(table["time_hour"]) > now - timedelta(hours=1), "temp"] = -99.0
        return table

    monkeypatch.setattr(flights_data, "read_table", read_changed)
    changed = load_flights.__wrapped__()
    now_ns = new_york_ns("2013-06-13 17:30")
    before, after = changed.event_ns <= now_ns, changed.event_ns > now_ns + 3 * HOUR_NS
    for name, column in changed.columns.items():
        same = flights.columns[name] == column
        if column.dtype.kind == "f":
            same |= np.isnan(flights.columns[name]) & np.isnan(column)
        assert same[before].all(), name
        if name in ("origin_delay_2h", "temp"):
            assert not same[after].all(), f"the change did not reach {name}"


def test_the_task_takes_every_flight(flights: Flights):
    task = load_task(TASK)
    assert list(flights.columns) == [field.name for field in task.signature.fields]
    blocks = task.signature.pack_columns(flights.columns)
    assert blocks.numbers.shape[1] + blocks.integers.shape[1] + blocks.texts.shape[1] == 25
    assert blocks.integers.shape[1]
    assert list(task.candidates) == list(REFERENCES)


def test_money_is_that_of_connecting_passengers():
    task = load_task(TASK)
    fields: dict[str, FieldValue] = {field.name: 1 for field in task.signature.fields}
    fields |= {"origin": "JFK", "carrier": "B6", "dest": "BOS"}
    rows = [task.signature.pack({**fields, "seats": seats}) for seats in (200, None)]
    for blocks, seats in zip(rows, (200, 149), strict=True):
        connecting = 0.83 * 0.25 * seats
        cost = 100 + 12 * connecting
        for decision, label, dollars in (
            (True, 1.0, 47 * connecting - cost),
            (True, 0.0, -cost),
            (False, 1.0, 0.0),
            (False, 0.0, 0.0),
        ):
            money = task.costs.utility(task.signature, blocks, np.array([decision]), np.array([label]))
            assert money[0] == pytest.approx(dollars)


def test_traffic_tells_requests_when_due_and_outcomes_when_known(flights: Flights):
    since, until = new_york_ns("2013-03-16"), new_york_ns("2013-03-19")
    traffic = Traffic(flights, since)
    requests: list[Request] = []
    outcomes: list[Outcome] = []
    asked: set[str] = set()
    began = since
    for tick in traffic.until(until):
        assert all(began <= request.event_ns < tick.until_ns for request in tick.requests)
        assert all(began <= outcome.observed_ns < tick.until_ns for outcome in tick.outcomes)
        assert asked.issuperset(outcome.request_id for outcome in tick.outcomes)
        asked.update(request.request_id for request in tick.requests)
        requests += tick.requests
        outcomes += tick.outcomes
        began = tick.until_ns
    due = flights.between(since, until)
    assert [request.request_id for request in requests] == due.request_ids.tolist()
    assert [request.event_ns for request in requests] == due.event_ns.tolist()
    known = due.take(due.known_ns < until)
    assert [outcome.observed_ns for outcome in outcomes] == sorted(known.known_ns.tolist())
    label = dict(zip(due.request_ids, due.label, strict=True))
    assert {outcome.request_id: outcome.label for outcome in outcomes} == {
        request_id: label[request_id] for request_id in known.request_ids
    }
    assert traffic.now_ns == until


def test_traffic_goes_on_where_it_stopped(flights: Flights):
    since, until = new_york_ns("2013-03-16"), new_york_ns("2013-03-18")
    at_once = Traffic(flights, since)
    in_parts = Traffic(flights, since)
    whole = [*at_once.until(until)]
    parts = [*in_parts.until(new_york_ns("2013-03-17")), *in_parts.until(until)]
    assert parts == whole
    assert not [*in_parts.until(until)]
    # The last outcomes of a stretch come after its last request.
    left = {outcome.request_id for tick in in_parts.until(until + 48 * HOUR_NS) for outcome in tick.outcomes}
    told = {outcome.request_id for tick in whole for outcome in tick.outcomes}
    assert set(flights.between(since, until).request_ids) <= left | told


def test_requests_carry_plain_values_that_the_signature_takes(flights: Flights):
    signature = load_task(TASK).signature
    since = new_york_ns("2013-03-16")
    requests = [
        request for tick in Traffic(flights, since).until(since + 12 * HOUR_NS) for request in tick.requests
    ]
    rows = np.searchsorted(flights.event_ns, since) + np.arange(len(requests))
    packed = signature.pack_columns(flights.take(rows).columns)
    for row, request in enumerate(requests):
        assert {type(given) for given in request.fields.values()} <= {float, int, str, type(None)}
        assert signature.pack(request.fields).equals(packed.take(slice(row, row + 1)))


async def test_a_request_that_cannot_even_be_sent_ends_the_replay(tmp_path: Path):
    class Unsendable:
        now_ns = 0

        def until(self, until_ns: int):
            yield Tick(until_ns, [Request("odd", 0, {"distance": object()})], [])
            yield Tick(until_ns, [], [])

    async with Replay(tmp_path / "nobody.sock", Unsendable(), rate=1000) as replay:
        with pytest.raises(ExceptionGroup) as caught:
            await replay.until(1)
    assert caught.group_contains(InvalidRequestError)
