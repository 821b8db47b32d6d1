"""Where days have too few rows, weeks are looked at in their place; four weeks where those have too few."""

import numpy as np
import pytest
from drift_traffic import SIGNATURE, START_NS, blocks_of, profile, reference, scored

from sidecar.config import Drift
from sidecar.drift.comparison import Aspect
from sidecar.drift.level import Level
from sidecar.drift.naming import name_findings
from sidecar.drift.scale import (
    DAY,
    DAY_NS,
    FOUR_WEEKS,
    HOUR_NS,
    KEPT_NS,
    LEAST_ROWS,
    WEEK,
    WEEK_NS,
    history_ns,
)
from sidecar.drift.watch import Watch
from sidecar.profile.profile import Profile, count_rows
from sidecar.signature import Blocks
from trainer.reference import make_reference

REFERENCE = reference()
LAYOUT = REFERENCE.layout
EARLIER = "the same hours of earlier weeks"
WEEKLY, MONTHLY = 100, 20
"""Rows a day of which a week has enough, and of which four weeks have what is needed at least."""


def plain(blocks):
    return blocks


def dearer(blocks):
    blocks.numbers[:, 1] += 6  # 0.6 standard deviations


def days_of(changes, rows=WEEKLY, seed=0):
    """For each change the profiles of two hours of a day; `rows` is of each day, or one figure for all."""
    rng = np.random.default_rng(seed)
    each = rows if isinstance(rows, list) else [rows] * len(changes)
    return [
        [profile(LAYOUT, part, rng, change) for part in (count // 2, count - count // 2)]
        for count, change in zip(each, changes, strict=True)
    ]


def take_day(watch, day, hours):
    for hour, window in enumerate(hours):
        watch.take(START_NS + day * DAY_NS + hour * HOUR_NS, window)


def watch_days(days, watch=None):
    """What is open after each day; of the newest, only what was put together before it."""
    watch = watch or Watch(REFERENCE, Drift())
    found = []
    for day, hours in enumerate(days):
        take_day(watch, day, hours)
        found.append(name_findings(watch, "m", {}, found[-1] if found else ()))
    return found


def opened(found, subject="price"):
    """The first day on which there was a finding of the subject."""
    return next((day for day, each in enumerate(found) if subject in {one.subject for one in each}), None)


def test_weeks_are_looked_at_where_days_have_too_few_rows():
    found = watch_days(days_of([plain] * 14 + [dearer] * 15))
    assert opened(found) == 28
    (one,) = (each for each in found[28] if each.what == "shift" and each.subject == "price")
    assert one.since_ns == START_NS + 2 * WEEK_NS
    assert (one.evidence["scale"], one.evidence["rows"]) == ("week", 7 * WEEKLY)
    assert one.evidence["window_ns"] == START_NS + 3 * WEEK_NS


def test_four_weeks_are_looked_at_where_weeks_have_too_few_rows_too():
    found = watch_days(days_of([plain] * 28 + [dearer] * 57, rows=MONTHLY))
    assert opened(found) == 84
    (one,) = (each for each in found[84] if each.what == "shift" and each.subject == "price")
    assert one.since_ns == START_NS + 4 * WEEK_NS
    assert (one.evidence["scale"], one.evidence["rows"]) == ("four weeks", 28 * MONTHLY)


@pytest.mark.parametrize(("rows", "looked_at"), [(LEAST_ROWS - 1, False), (LEAST_ROWS, True)])
def test_four_weeks_need_fewer_rows_than_others(rows, looked_at):
    watch = Watch(REFERENCE, Drift())
    watch_days(days_of([plain] * 29, rows=[rows] + [0] * 28), watch)
    assert (watch.newest_look is not None) == looked_at


@pytest.mark.parametrize("rows", [WEEKLY, MONTHLY])
def test_little_traffic_like_trainings_gives_no_finding(rows):
    assert watch_days(days_of([plain] * 52 * 7, rows=rows, seed=3)) == [[]] * 52 * 7


def test_a_week_is_not_looked_at_where_one_of_its_days_was():
    busy = [500, *[WEEKLY] * 6] * 5
    watch = Watch(REFERENCE, Drift())
    found = watch_days(days_of([plain, *[dearer] * 6] * 5, rows=busy), watch)
    assert opened(found) is None
    assert watch.newest_look.end_ns == START_NS + 4 * WEEK_NS + DAY_NS


def test_what_days_opened_closes_after_two_plain_weeks():
    days = days_of([plain] * 14 + [dearer] * 7 + [plain] * 22, rows=[500] * 21 + [WEEKLY] * 22)
    still_open = ["price" in {one.subject for one in each} for each in watch_days(days)]
    assert still_open == [False] * 16 + [True] * (35 - 16) + [False] * (43 - 35)


def test_what_hours_opened_closes_after_two_plain_windows_in_which_no_hour_was_looked_at():
    found = watch_days(days_of([dearer] + [plain] * 4, rows=[2_000] + [600] * 4))
    assert [bool(each) for each in found] == [True, True, True, False, False]
    assert {one.evidence["scale"] for one in found[0]} == {"hour"}


def test_days_and_weeks_running_open_a_finding_together():
    busy = [WEEKLY] * 13 + [500] + [WEEKLY] * 8
    found = watch_days(days_of([plain] * 13 + [dearer] * 9, rows=busy))
    assert opened(found) == 21  # the busy day, and the week after it


@pytest.mark.parametrize(("rows", "weeks"), [(WEEKLY, 1), (MONTHLY, 4)])
def test_what_only_differs_from_earlier_weeks_closes_when_none_of_those_is_left(rows, weeks):
    watch = Watch(reference(), Drift())
    spread = watch.reference.spread["day", "training"]
    spread.excess[:], spread.worst[:] = 1.0, 20.0  # as if days had always differed much
    found = watch_days(days_of([plain] * 28 * 2 + [dearer] * 28 * 12, rows=rows), watch)
    assert {one.evidence["compared_with"] for each in found for one in each} == {EARLIER}
    open_on = [day for day, each in enumerate(found) if "price" in {one.subject for one in each}]
    assert open_on[0] == 56 + 2 * 7 * weeks
    assert open_on[-1] < 28 * 8


def weekly_rhythm(day, rng, rows):
    """The price is lower at weekends, and two calls come then for one."""
    blocks = blocks_of(rows * (2 if day % 7 > 4 else 1), rng)
    blocks.numbers[:, 1] -= 8 if day % 7 > 4 else 0
    return blocks


def rhythmic_reference(rows, days):
    rng = np.random.default_rng(4)
    parts = [weekly_rhythm(day, rng, rows) for day in range(-days, 0)]
    event_ns = np.repeat(START_NS + np.arange(-days, 0) * DAY_NS, [len(part) for part in parts])
    blocks = Blocks.concat(parts)
    _, score, decision = scored(blocks)
    return make_reference(SIGNATURE, blocks, event_ns, score, decision)


@pytest.mark.parametrize("rows", [9, 300])
def test_a_weekly_rhythm_is_no_drift_in_weeks(rows):
    rhythm = rhythmic_reference(rows, 26 * 7)
    rng = np.random.default_rng(5)
    days = [[count_rows(rhythm.layout, *scored(weekly_rhythm(day, rng, 60)))] for day in range(52 * 7)]
    watch = Watch(rhythm, Drift())
    assert watch_days(days, watch) == [[]] * len(days)
    assert watch.newest_look.scale is WEEK
    assert watch.newest_look.cycle == "week"


def test_where_training_had_too_few_rows_a_day_its_weeks_say_how_much_they_vary():
    weeks, days = (rhythmic_reference(rows, 26 * 7) for rows in (9, 300))
    assert set(weeks.spread) == {("week", "training"), ("week", "week")}
    assert {scale for scale, _ in days.spread} == {"hour", "day"}
    assert weeks.spread["week", "training"].excess[1, Aspect.SHIFT] == 0
    # Weeks of such traffic are taken to vary as days do, which errs to the safe side.
    assert days.spread_for(WEEK.spreads, "training") is days.spread["day", "training"]
    assert days.spread["day", "training"].excess[1, Aspect.SHIFT] > 0.1


def test_a_look_at_weeks_raises_as_few_alarms_as_one_at_a_day():
    of_a_day, *others = (Level.of(Drift(), scale, subjects=10).together for scale in (DAY, WEEK, FOUR_WEEKS))
    assert others == pytest.approx([of_a_day] * 2)


@pytest.mark.parametrize("rows", [WEEKLY, MONTHLY])
@pytest.mark.parametrize("newest", [170, 175, 180, 190])
def test_a_watch_that_begins_again_finds_what_one_knows_that_never_ended(rows, newest):
    days = days_of([plain] * 84 + [dearer] * 112, rows=rows)[:newest]
    counted = {START_NS + day * DAY_NS: sum(hour.rows for hour in hours) for day, hours in enumerate(days)}
    since_ns = history_ns(counted, Drift().min_rows)
    again = Watch(REFERENCE, Drift())
    for day, hours in enumerate(days):
        if START_NS + day * DAY_NS >= since_ns:
            take_day(again, day, hours)
    found = watch_days(days)[-1]
    assert found
    named = {(one.subject, one.what) for one in found}
    assert {(one.subject, one.what) for one in name_findings(again, "m", {})} == named


def test_history_is_short_where_days_have_enough_rows():
    hours = {START_NS + hour * HOUR_NS: 30 for hour in range(24 * 7 * 52)}
    assert history_ns(hours, 500) == max(hours) - KEPT_NS
    assert history_ns(hours, 1_000) == START_NS + 32 * WEEK_NS


def test_a_gap_ends_weeks_as_the_next_day_does():
    watch = Watch(REFERENCE, Drift())
    for day, hours in enumerate(days_of([plain] * 7)):
        take_day(watch, day, hours)
    assert watch.newest_look is None
    watch.take(START_NS + 100 * DAY_NS, Profile.empty(LAYOUT))
    assert watch.newest_look.end_ns == START_NS + WEEK_NS
