"""What a watch finds: nothing in traffic like training's, and each planted change by its name."""

import dataclasses
import doctest
import time

import numpy as np
import pytest
from drift_traffic import SIGNATURE, START_NS, blocks_of, profile, reference, scored
from scipy import stats

from sidecar.config import Drift
from sidecar.drift import unit as units
from sidecar.drift import weight
from sidecar.drift.comparison import Aspect, Comparer
from sidecar.drift.level import Level, strange
from sidecar.drift.naming import name_findings
from sidecar.drift.scale import DAY, HOUR, HOUR_NS, WEEK_NS
from sidecar.drift.unit import find_conversion
from sidecar.drift.watch import Watch
from sidecar.profile.profile import count_rows
from sidecar.signature import Blocks, Signature
from trainer.reference import make_reference

REFERENCE = reference()
LAYOUT = REFERENCE.layout
IMPORTANCE = {"seconds": 0.5, "price": 0.3, "items": 0.15, "channel": 0.05}


def watch_hours(changes, rows=2000, seed=0, settings=None):
    """The findings after each hour; `changes` has one function of the blocks for each."""
    rng = np.random.default_rng(seed)
    watch = Watch(REFERENCE, settings or Drift())
    found = []
    for hour, change in enumerate(changes):
        watch.take(START_NS + hour * HOUR_NS, profile(LAYOUT, rows, rng, change))
        found.append(name_findings(watch, "m", IMPORTANCE, found[-1] if found else ()))
    return found


def plain(blocks):
    return blocks


def number(column, change):
    def changed(blocks):
        blocks.numbers[:, column] = change(blocks.numbers[:, column])

    return changed


def text(change):
    def changed(blocks):
        for row in range(len(blocks)):
            blocks.texts[row, 0] = change(row, blocks.texts[row, 0])

    return changed


def blank(part):
    def changed(values):
        values[: int(part * len(values))] = np.nan
        return values

    return changed


CHANGES = {
    "unit, thousandths": ("seconds", "unit", number(0, lambda values: values * 1000)),
    "unit, with an offset": ("price", "unit", number(1, lambda values: values * 1.8 + 32)),
    "unit, the sign": ("price", "unit", number(1, lambda values: -values)),
    "missing": ("seconds", "missing", number(0, blank(0.2))),
    "a default instead of missing": ("seconds", "missing", number(0, np.nan_to_num)),
    "shift": ("seconds", "shift", number(0, lambda values: values + 3)),
    "shape": ("price", "shift", number(1, lambda values: np.round((values - 50) * 1.2 + 50))),
    "range": ("price", "range", number(1, lambda values: np.where(np.arange(len(values)) % 50, values, 500))),
    "constant": ("seconds", "constant", number(0, lambda values: values * 0 + 40)),
    "fractions": ("price", "type", number(1, lambda values: values + 0.25)),
    "unseen": ("channel", "unseen", text(lambda row, value: value if row % 50 else "fax")),
    "categories": ("channel", "shift", text(lambda row, value: value if row % 8 else "phone")),
    "constant text": ("channel", "constant", text(lambda *_: "shop")),
}


def test_traffic_like_trainings_gives_no_finding():
    assert watch_hours([plain] * 100) == [[]] * 100


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_found_in_the_second_window_under_its_name(name):
    subject, what, change = CHANGES[name]
    before, first, second = watch_hours([plain, change, change])
    assert before == first == []
    found = {(one.subject, one.what): one for one in second}
    assert (subject, what) in found
    if what in ("unit", "constant"):
        assert {kind for of, kind in found if of == subject} - {"missing"} == {what}
    one = found[subject, what]
    assert one.since_ns == START_NS + HOUR_NS
    assert one.text.startswith((subject, "2.0%"))
    assert one.evidence["rows"] == 2000


def test_the_text_of_a_unit_names_factor_and_cause():
    change = CHANGES["unit, thousandths"][2]
    (one,) = [each for each in watch_hours([change, change])[1] if each.subject == "seconds"]
    assert "multiplied by 1000" in one.text
    assert "milliseconds for seconds" in one.cause


@pytest.mark.parametrize(
    ("unit", "factor", "offset", "found"),
    [
        ("kg", 2.204623, 0, True),
        ("", 2.204623, 0, True),
        ("EUR", 2.204623, 0, False),
        ("EUR", 1 / 2.204623, 0, False),
        ("EUR", 100, 0, True),
        ("EUR", 0.001, 0, True),
        ("EUR", -1, 0, True),
        ("min, local", 60, 0, True),
        ("mi", 60, 0, False),
        ("mph", 1.609344, 0, True),
        ("°C", 1.8, 32, True),
        ("0 is Monday", 24, 0, False),
    ],
)
def test_a_conversion_is_proposed_between_units_of_the_declared_kind_only(unit, factor, offset, found):
    before = 50.0, 10.0
    now = factor * before[0] + offset, abs(factor) * before[1]
    assert (find_conversion(now, before, 0.0, unit) is not None) == found


def test_higher_prices_in_a_declared_currency_are_no_other_unit():
    def doubled(blocks):
        blocks.numbers[:, 1] *= 2.2

    fields = tuple(
        dataclasses.replace(field, unit="EUR") if field.name == "price" else field
        for field in SIGNATURE.fields
    )
    rng = np.random.default_rng(2)
    blocks, score, decision = scored(blocks_of(20_000, rng))
    event_ns = START_NS - np.arange(20_000, 0, -1)
    for signature, what in ((SIGNATURE, {"unit"}), (Signature(fields), {"range", "shift", "type"})):
        watch = Watch(make_reference(signature, blocks, event_ns, score, decision), Drift())
        for hour in range(2):
            watch.take(START_NS + hour * HOUR_NS, profile(watch.reference.layout, 2000, rng, doubled))
        assert {one.what for one in name_findings(watch, "m", {}) if one.subject == "price"} == what


def test_a_finding_closes_after_as_many_plain_windows_as_its_scale_says():
    change = CHANGES["missing"][2]
    found = watch_hours([change, change, plain, change, *[plain] * HOUR.plain])
    assert [bool(each) for each in found] == [False, *[True] * (HOUR.plain + 2), False]
    assert {one.since_ns for each in found for one in each} == {START_NS}


def test_what_matters_to_the_model_stands_first():
    def both(blocks):
        blocks.numbers[:, 0] += 10
        blocks.integers[:, 0] += 3

    rng = np.random.default_rng(0)
    watch = Watch(REFERENCE, Drift())
    for hour in range(2):
        watch.take(START_NS + hour * HOUR_NS, profile(LAYOUT, 2000, rng, both))
    for first, second in (("seconds", "items"), ("items", "seconds")):
        named = name_findings(watch, "m", {first: 0.99, second: 0.01})
        subjects = [one.subject for one in named]
        assert subjects.index(first) < subjects.index(second)


def test_what_is_not_known_of_a_field_ranks_it_as_fields_are_on_average():
    def all_three(blocks):
        blocks.numbers[:, 0] += 30
        blocks.numbers[:, 1] += 20
        blocks.integers[:, 0] += 6

    rng = np.random.default_rng(0)
    watch = Watch(REFERENCE, Drift())
    for hour in range(2):
        watch.take(START_NS + hour * HOUR_NS, profile(LAYOUT, 2000, rng, all_three))
    importance = {"seconds": 0.99, "price": 0.01, "channel": 0.0}
    found = [one for one in name_findings(watch, "m", importance) if one.subject not in ("score", "decision")]
    subjects = [one.subject for one in found]
    assert subjects.index("items") < subjects.index("price")
    items = next(one.evidence for one in found if one.subject == "items")
    assert items["importance"] is None
    assert items["rank"] == pytest.approx(items["psi"] / 3, rel=1e-4)
    assert doctest.testmod(weight).failed == 0


def test_too_few_rows_are_not_looked_at():
    change = CHANGES["unit, thousandths"][2]
    assert watch_hours([change] * 3, rows=400) == [[]] * 3
    assert watch_hours([change] * 3, rows=400, settings=Drift(min_rows=300))[2] != []


def test_a_windows_change_for_the_other_side_is_no_second_one():
    up, down = (number(0, lambda values, by=by: values + by) for by in (5, -5))
    found = watch_hours([up, down, up, down])
    assert not any(one.evidence["measure"] == "standard deviations" for each in found for one in each)


@pytest.mark.parametrize("rows", [3_000, 5_000, 24_038])
def test_values_that_training_never_had_are_no_number_of_standard_deviations_where_it_had_one_only(rows):
    rng = np.random.default_rng(rows)
    blocks, score, decision = scored(blocks_of(rows, rng))
    blocks.integers[:] = -1
    event_ns = START_NS - np.arange(rows, 0, -1)
    constant = make_reference(SIGNATURE, blocks, event_ns, score, decision)
    watch = Watch(constant, Drift())
    for hour in range(2):
        watch.take(START_NS + hour * HOUR_NS, profile(constant.layout, 2000, rng))
    items = {one.what: one.text for one in name_findings(watch, "m", IMPORTANCE) if one.subject == "items"}
    assert "100.0%" in items["range"]
    assert "deviations" not in items["shift"]


def rhythmic(hour, rng, rows=600, extra=0.0):
    """Traffic with a daily and a weekly cycle in the level of one number."""
    blocks = blocks_of(rows, rng)
    level = 8 * np.sin(2 * np.pi * hour / 24) + (6 if hour // 24 % 7 > 4 else 0)
    blocks.numbers[:, 1] += np.float32(level + extra)
    return blocks


def rhythmic_reference():
    rng = np.random.default_rng(4)
    hours = [(hour, rhythmic(hour, rng)) for hour in range(-3 * 168, 0)]
    blocks = Blocks.concat([each for _, each in hours])
    event_ns = np.repeat([START_NS + hour * HOUR_NS for hour, _ in hours], 600)
    score = scored(blocks)[1][-5000:]
    return make_reference(SIGNATURE, blocks, event_ns, score, score > 0.5)


def test_a_rhythm_is_no_drift_and_a_break_in_it_is_found_by_the_same_hours_of_earlier_weeks():
    rhythm = rhythmic_reference()
    assert rhythm.spread["hour", "training"].excess[1, Aspect.SHIFT] > 0.1
    assert rhythm.spread["hour", "week"].excess[1, Aspect.SHIFT] == 0
    rng = np.random.default_rng(5)
    watch = Watch(rhythm, Drift())
    found = []
    for hour in range(168 + 2):
        blocks = rhythmic(hour, rng, extra=3.0 if hour >= 168 else 0.0)
        watch.take(START_NS + hour * HOUR_NS, count_rows(rhythm.layout, *scored(blocks)))
        found.append([one for one in name_findings(watch, "m", {}) if one.subject == "price"])
    assert found[:168] == [[]] * 168
    (one,) = found[168 + 1]
    assert one.evidence["compared_with"] == "the same hours of earlier weeks"


def test_the_alarms_of_all_tests_add_up_to_the_rate_that_was_asked_for():
    total = 0.0
    for scale in (HOUR, DAY):
        level = Level.of(Drift(false_alarms_per_day=0.5), scale, subjects=10)
        total += 2 * stats.norm.sf(level.together) * scale.looks_per_day * 10 * 2 * len(Aspect)
    assert total == pytest.approx(0.5, rel=1e-6)


LEVEL = Level(each=2.0, together=5.0)


@pytest.mark.parametrize(
    ("z", "size", "excess", "worst", "side"),
    [
        (2.1, 0.06, 0.0, 0.0, 1),
        (-2.1, -0.06, 0.0, 0.0, -1),
        (1.9, 0.06, 0.0, 0.0, 0),  # not strange enough
        (9.0, 0.04, 0.0, 0.0, 0),  # certain, and too small to matter
        (4.9, 0.9, 0.1, 0.0, 0),  # windows vary: each must reach the level of all together
        (5.1, 0.9, 0.1, 0.0, 1),
        (5.1, 0.9, 0.1, 4.0, 0),  # training had one nearly as strange
    ],
)
def test_which_windows_are_strange(z, size, excess, worst, side):
    found = strange(*(np.full((1, len(Aspect)), figure) for figure in (z, size, excess, worst)), LEVEL)
    assert found[0, Aspect.SHIFT] == side


def test_a_rarer_alarm_needs_more():
    levels = [Level.of(Drift(false_alarms_per_day=rate), HOUR, 30).together for rate in (1, 0.1, 0.01)]
    assert levels == sorted(levels)


def test_two_windows_that_are_somewhat_strange_are_enough_together_and_one_is_not():
    faint = number(1, lambda values: values + 1)  # 0.1 standard deviations
    found = watch_hours([faint] * 12, rows=3000, seed=8)
    assert found[0] == []
    assert any(one.subject == "price" and one.what == "shift" for each in found for one in each)


def test_a_look_takes_less_than_twenty_milliseconds_of_arithmetic():
    comparer = Comparer(REFERENCE)
    window = profile(LAYOUT, 2000, np.random.default_rng(0))
    began = time.thread_time()
    for _ in range(10):
        comparer.compare(window, REFERENCE.profile)
    assert (time.thread_time() - began) / 10 < 0.02


def test_a_week_is_a_week():
    assert 7 * DAY.length_ns == WEEK_NS


def test_kinds_of_units_are_as_the_docstring_says():
    assert doctest.testmod(units).failed == 0
