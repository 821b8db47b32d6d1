"""Each mistake that a caller can make is named, and nature never is."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from sidecar.signature import Field, Kind, Signature
from trainer.days import DAY_NS
from trainer.skew.inspection import inspect
from trainer.skew.rows import AuditRows, Vocabulary, audit_rows
from trainer.skew.verdict import MIN_HOURS, Suspicion, judge

SIGNATURE = Signature(
    (
        Field("temp", missing_allowed=True, unit="F"),
        Field("dewp", missing_allowed=True, unit="F"),
        Field("amount", lower=0, unit="USD"),
        Field("delay", missing_allowed=True, unit="min"),
        Field("minute", Kind.INTEGER, unit="min, local"),
        Field("region", Kind.TEXT, missing_allowed=True),
        Field("store", Kind.TEXT),
    )
)
HOUR_NS = DAY_NS // 24
TRAINED_DAYS, LIVE_DAY = range(30), 90
"""Training ends two months before the live day, and it has become warmer."""
ROWS_A_DAY = 400


@dataclass(frozen=True)
class World:
    columns: dict
    event_ns: np.ndarray


def world(days, seed=0, rows_a_day=ROWS_A_DAY) -> World:
    """Real-looking traffic: weather by region and hour with a season, prices, delays, a local clock."""
    rng = np.random.default_rng([seed, 1])
    event_ns = np.concatenate(
        [day * DAY_NS + np.sort(rng.integers(6 * HOUR_NS, 22 * HOUR_NS, rows_a_day)) for day in days]
    )
    rows = len(event_ns)
    region = rng.choice(np.array(["north", "south", "west"], object), rows)
    hour = event_ns // HOUR_NS
    weather = np.random.default_rng([seed, 2])
    celsius = {}
    for one in np.unique(hour).tolist():
        season = 10 - 14 * np.cos(one / 24 / 365 * 2 * np.pi) - 4 * np.cos(one % 24 / 24 * 2 * np.pi)
        front = 4 * np.sin(one / 31) + weather.normal(0, 1.5, 3)
        warm = np.round(season + front, 1)
        celsius[one] = (warm, np.round(warm - weather.gamma(2, 2.5, 3), 1))
    place = {"north": 0, "south": 1, "west": 2}
    temp, dewp = (
        np.array(
            [celsius[one][which][place[where]] for one, where in zip(hour.tolist(), region, strict=True)]
        )
        * 9
        / 5
        + 32
        for which in (0, 1)
    )
    delay = np.round(rng.exponential(12, rows) - 5, 2)
    delay[rng.random(rows) < 0.15] = np.nan
    return World(
        {
            "temp": temp,
            "dewp": dewp,
            "amount": np.round(rng.lognormal(3.5, 0.8, rows), 2),
            "delay": delay,
            "minute": (event_ns // (HOUR_NS // 60) - 300) % 1440,
            "region": np.where(rng.random(rows) < 0.15, "", region),
            "store": rng.choice(np.array([f"s{i}" for i in range(20)], object), rows),
        },
        event_ns,
    )


VOCABULARY = Vocabulary()


def rows(traffic: World, client) -> AuditRows:
    blocks = SIGNATURE.pack_columns(traffic.columns)
    return audit_rows(SIGNATURE, VOCABULARY, blocks, traffic.event_ns, np.asarray(client, object))


@pytest.fixture(scope="module")
def trained_on():
    traffic = world(TRAINED_DAYS)
    return rows(traffic, np.full(len(traffic.event_ns), ""))


def live(mistake=None, *, newcomers=0.5, earlier=7, since_hour=0, seed=0):
    """The live day and `earlier` days before it; on the live day a new version sends a share of the rows."""
    traffic = world(range(LIVE_DAY - earlier, LIVE_DAY + 1), seed=seed)
    since_ns = LIVE_DAY * DAY_NS
    new = traffic.event_ns >= since_ns + since_hour * HOUR_NS
    new &= np.random.default_rng([seed, 3]).random(len(new)) < newcomers
    if mistake:
        wrong = mistake({name: column.copy() for name, column in traffic.columns.items()}, traffic)
        columns = {name: np.where(new, wrong[name], traffic.columns[name]) for name in traffic.columns}
        traffic = replace(traffic, columns=columns)
    return rows(traffic, np.where(new, "app/2", "app/1")), since_ns


def changed(**changes):
    return lambda columns, _: columns | {name: change(columns[name]) for name, change in changes.items()}


def exchanged(one, other):
    return lambda columns, _: columns | {one: columns[other], other: columns[one]}


def hours_old(field, hours):
    def late(columns, traffic):
        then = {}
        for hour, region, value in zip(
            (traffic.event_ns // HOUR_NS).tolist(), columns["region"], columns[field], strict=True
        ):
            then[hour, region] = value
        keys = zip((traffic.event_ns // HOUR_NS).tolist(), columns["region"], columns[field], strict=True)
        return columns | {
            field: np.array([then.get((hour - hours, region), value) for hour, region, value in keys])
        }

    return late


def stopped(field):
    def frozen(columns, traffic):
        first = {}
        for event_ns, region, value in zip(
            traffic.event_ns.tolist(), columns["region"], columns[field], strict=True
        ):
            if event_ns >= LIVE_DAY * DAY_NS:
                first.setdefault(region, value)
        return columns | {
            field: np.array(
                [
                    first.get(region, value)
                    for region, value in zip(columns["region"], columns[field], strict=True)
                ]
            )
        }

    return frozen


def filled(field, value):
    return changed(**{field: lambda column: np.where(np.isnan(column), value, column)})


MISTAKES = {
    "x1000": (changed(amount=lambda x: x * 1000), "unit", ("amount",), {"factor": 1000}),
    "celsius": (changed(temp=lambda x: (x - 32) / 1.8), "unit", ("temp",), {"factor": 5 / 9}),
    "hours": (changed(delay=lambda x: x / 60), "unit", ("delay",), {"factor": 1 / 60}),
    "default 0": (filled("delay", 0.0), "default", ("delay",), {"value": 0}),
    "default text": (
        changed(region=lambda x: np.where(x == "", "none", x)),
        "default",
        ("region",),
        {},
    ),
    "swapped weather": (exchanged("temp", "dewp"), "swap", ("temp", "dewp"), {}),
    "swapped texts": (
        lambda columns, _: (
            columns
            | {
                "region": columns["store"],
                "store": np.where(columns["region"] == "", "west", columns["region"]),
            }
        ),
        "swap",
        ("region", "store"),
        {},
    ),
    "utc": (changed(minute=lambda x: (x + 300) % 1440), "zone", ("minute",), {"hours": 5}),
    "next zone": (changed(minute=lambda x: (x - 60) % 1440), "zone", ("minute",), {"hours": -1}),
    "a day old": (hours_old("temp", 24), "stale", ("temp",), {"hours": 24}),
    "frozen": (stopped("dewp"), "stale", ("dewp",), {}),
    "whole minutes": (changed(delay=np.trunc), "cast", ("delay",), {"grid": "whole numbers"}),
    "float16": (
        changed(amount=lambda x: x.astype(np.float16).astype(float)),
        "cast",
        ("amount",),
        {"grid": "float16"},
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_of_a_new_version_is_named(trained_on, name):
    mistake, kind, fields, facts = MISTAKES[name]
    logged, since_ns = live(mistake)
    [found] = inspect(SIGNATURE, logged, since_ns, trained_on, frozenset())
    assert (found.kind, found.fields, found.client) == (kind, fields, "app/2")
    assert {key: found.facts[key] for key in facts} == pytest.approx(facts)
    first = logged.event_ns[np.equal(logged.client, "app/2")][0]
    assert found.since_ns - first < HOUR_NS * (3 if kind in ("stale", "default") else 1)


@pytest.mark.parametrize(("unit", "named"), [("min", True), ("", True), ("USD", False)])
def test_a_unit_is_another_one_of_its_kind(trained_on, unit, named):
    logged, since_ns = live(changed(amount=lambda x: x / 60))
    fields = (replace(each, unit=unit) if each.name == "amount" else each for each in SIGNATURE.fields)
    found = inspect(Signature(tuple(fields)), logged, since_ns, trained_on, frozenset())
    told = [one.facts["factor"] for one in found if (one.kind, one.fields) == ("unit", ("amount",))]
    assert told == pytest.approx([1 / 60] if named else [])


@pytest.mark.parametrize("newcomers", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("earlier", [7, 0])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_clean_day_in_another_season_is_clean(trained_on, newcomers, earlier, seed):
    logged, since_ns = live(newcomers=newcomers, earlier=earlier, seed=seed)
    assert inspect(SIGNATURE, logged, since_ns, trained_on, frozenset()) == []


def test_a_mistake_that_begins_within_a_version_is_dated(trained_on):
    mistake, *_ = MISTAKES["x1000"]
    logged, since_ns = live(mistake, newcomers=1.0, since_hour=15)
    logged = replace(logged, client=np.full(len(logged), "app/1", object))
    [found] = inspect(SIGNATURE, logged, since_ns, trained_on, frozenset())
    assert (found.kind, found.fields, found.client) == ("unit", ("amount",), "app/1")
    assert 0 <= found.since_ns - (since_ns + 15 * HOUR_NS) < HOUR_NS // 4


def test_clients_of_other_populations_are_not_each_others_measure(trained_on):
    logged, since_ns = live(newcomers=0.0)
    region = SIGNATURE.fields.index(SIGNATURE.by_name["region"])
    own = np.array(["" if np.isnan(value) else VOCABULARY.text(value) for value in logged.values[:, region]])
    logged = replace(logged, client=("app-" + own.astype(object)))
    assert inspect(SIGNATURE, logged, since_ns, trained_on, frozenset()) == []


def test_a_client_known_to_be_wrong_is_no_measure_for_the_next_one(trained_on):
    mistake, *_ = MISTAKES["x1000"]
    logged, since_ns = live(mistake, newcomers=0.8)
    third = (logged.client == "app/2") & (np.arange(len(logged)) % 2 == 0)
    logged = replace(logged, client=np.where(third, "app/3", logged.client))
    found = inspect(SIGNATURE, logged, since_ns, trained_on, frozenset({"app/2"}))
    assert sorted(one.client for one in found) == ["app/2", "app/3"]


def test_without_any_right_row_nothing_is_said():
    logged, since_ns = live(newcomers=0.0, earlier=0)
    nothing = logged.take(np.zeros(len(logged), bool))
    assert inspect(SIGNATURE, logged, since_ns, nothing, frozenset()) == []


@pytest.mark.parametrize(("hours", "named"), [(1, False), (MIN_HOURS - 1, False), (MIN_HOURS, True)])
def test_a_mark_that_all_rows_of_an_hour_share_must_show_in_several_hours(hours, named):
    rows = 40 * MIN_HOURS
    hour = np.arange(rows) // 40
    nats = np.where(hour < hours, 4.0, 0.0)
    nature = np.full(rows, -1.0)
    by_hour = Suspicion("stale", (0,), "late", nats, nature, facts={}, by_hour=True)
    assert (judge(by_hour, hour, hour) is not None) is named
    assert judge(replace(by_hour, by_hour=False), hour, hour) is not None
