"""What one look has seen, later looks go on from, and a replay sees again, whatever was logged meanwhile."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_log import CHAMPION, model, oracle, outcomes, scored, served, write_log
from small_task import START_NS, task, traffic

from sidecar.registry import Look
from sidecar.store.reader import LogReader
from sidecar.store.seal import seal
from trainer.budget import ErrorShare
from trainer.days import DAY_NS, HOUR_NS, day_start, hour_start
from trainer.gather import Known, gather
from trainer.latency import measure, measure_alone
from trainer.looks import before, first_look, order_of
from trainer.probation.measure import measure_probation
from trainer.waits import Calls, measure_waits

OTHER = model("f")
LIVE, BESIDE = traffic(30, 6, rows_a_day=100), traffic(30, 6, rows_a_day=100, seed=9)
ROWS = np.arange(600)
LATE = np.array([120, 121, 122])
"""Rows of the second day, which are logged after all others."""
ON_TIME = np.setdiff1d(ROWS, LATE)
TASK = replace(
    task,
    policy=replace(
        task.policy, canary=(0.5,), canary_wait_budget_us=60, latency_block=7, latency_budget_us=45
    ),
)
AS_OF_NS = START_NS + 35 * DAY_NS + 5 * HOUR_NS
CPU_NS, OTHERS_CPU_NS, QUEUE_NS, OTHERS_QUEUE_NS = np.random.default_rng(0).integers(0, 60_000, (4, 600))


def calls(rows):
    """The newcomer's own calls, the other's beside them, and what the other made of the former."""
    own = served(LIVE, oracle(LIVE, wrong=0.3, seed=1), rows)
    beside = served(BESIDE, oracle(BESIDE, wrong=0.1, seed=3), rows, OTHER)
    score = scored(LIVE, oracle(LIVE, wrong=0.1, seed=2), rows, OTHER)
    return [
        replace(own, cpu_ns=CPU_NS[rows], queue_ns=QUEUE_NS[rows]),
        replace(beside, queue_ns=OTHERS_QUEUE_NS[rows]),
    ], [replace(score, cpu_ns=OTHERS_CPU_NS[rows])]


@pytest.fixture
def path(tmp_path):
    return write_log(tmp_path / "log.db", *calls(ON_TIME), [outcomes(LIVE, ON_TIME.tolist())])


def logged_late(path):
    write_log(path, *calls(LATE), [outcomes(LIVE, LATE.tolist())])


def on_probation(log, looks=(), as_of_ns=AS_OF_NS):
    return measure_probation(TASK, log, CHAMPION, OTHER, share=0.5, as_of_ns=as_of_ns, looks=looks)


def in_the_shadow(log, looks=(), as_of_ns=AS_OF_NS):
    known = Known(shares={OTHER.digest: ErrorShare(0, 1)}, looks=looks)
    return gather(TASK, log, CHAMPION, [OTHER], as_of_ns=as_of_ns, known=known)[0]


@pytest.mark.parametrize("measured", [on_probation, in_the_shadow])
@pytest.mark.parametrize("sealed", [False, True])
def test_what_had_been_logged_by_then_can_be_measured_again(path, measured, sealed):
    with LogReader(path) as reader, reader.as_logged() as log:
        was, logged_ns = measured(log), log.logged_ns
        logged_late(path)
        assert measured(log).digest == was.digest
        assert measured(reader).digest != was.digest
    if sealed:  # into files that hold rows of both times
        seal(path, path.with_name("registry.db"))
    with LogReader(path) as reader, reader.as_logged(logged_ns) as log:
        assert measured(log).to_json() == was.to_json()


def look_at(path):
    with LogReader(path) as reader:
        return Look(AS_OF_NS, reader.logged_ns)


def measured_late(path, measured, *, looked=True):
    """After rows came late, to a look if there was one."""
    looks = [look_at(path)] if looked else []
    logged_late(path)
    with LogReader(path) as reader:
        return measured(reader, looks)


def seen_first(count):
    """Rows in the order in which two looks find them, and the number of the look."""
    timed = [rows[LIVE.event_ns[rows] < count] for rows in (ON_TIME, LATE)]
    return np.concatenate(timed), np.repeat([0, 1], [len(rows) for rows in timed])


def test_late_rows_stand_behind_those_that_were_looked_at_in_latency_and_speed(path, tmp_path):
    rows, _ = seen_first(hour_start(AS_OF_NS))
    found = measured_late(path, on_probation).speed
    assert found == measure_alone(TASK.policy, CPU_NS[rows], CPU_NS[:0])
    unseen = write_log(tmp_path / "other.db", *calls(ON_TIME), [])
    in_order = measured_late(unseen, on_probation, looked=False).speed
    assert in_order == measure_alone(TASK.policy, CPU_NS[np.sort(rows)], CPU_NS[:0])
    assert (found.within, found.rows) != (in_order.within, in_order.rows)


def test_late_rows_stand_behind_those_that_were_looked_at_in_the_shadow(path):
    rows, _ = seen_first(day_start(AS_OF_NS))
    clocks = (
        (cpu_ns[rows], 2 * np.full(len(rows), us))
        for cpu_ns, us in ((CPU_NS, 20_000), (OTHERS_CPU_NS, 30_000))
    )
    assert measured_late(path, in_the_shadow).latency == measure(TASK.policy, *clocks)


def test_a_score_that_comes_late_makes_its_row_late(path, tmp_path):
    """Though the row itself had been logged."""
    unscored = write_log(tmp_path / "other.db", calls(ROWS)[0], calls(ON_TIME)[1], [outcomes(LIVE)])
    looks = [look_at(unscored)]
    write_log(unscored, [], calls(LATE)[1], [])
    with LogReader(unscored) as reader:
        found = in_the_shadow(reader, looks).latency
    assert found == measured_late(path, in_the_shadow).latency


def test_late_calls_stand_behind_those_that_were_looked_at(path):
    rows, look = seen_first(hour_start(AS_OF_NS))
    beside = BESIDE.event_ns < hour_start(AS_OF_NS)
    beside &= BESIDE.event_ns >= LIVE.event_ns[0]
    late = np.isin(ROWS, LATE)
    waited = (
        Calls(look, LIVE.event_ns[rows], QUEUE_NS[rows] + 40_000),
        Calls(late[beside] * 1, BESIDE.event_ns[beside], OTHERS_QUEUE_NS[beside] + 40_000),
    )
    found = measured_late(path, on_probation).waits
    assert found == measure_waits(TASK.policy, *waited, share=0.5, by_id=True)
    in_order = (replace(one, look=one.look * 0) for one in waited)
    assert found != measure_waits(TASK.policy, *in_order, share=0.5, by_id=True)


LATER_NS = AS_OF_NS + DAY_NS - HOUR_NS


def money(measured, path, looks, as_of_ns=LATER_NS):
    """The bets on money, and the sum gained on all days."""
    with LogReader(path) as reader:
        found = measured(reader, looks, as_of_ns)
    evidence = getattr(found, "evidence", found)
    bets = found.readings if found is not evidence else found.cycles
    return bets, sum(day.gain for day in evidence.days), len(evidence.days)


@pytest.mark.parametrize("measured", [on_probation, in_the_shadow])
def test_late_rows_are_bet_on_with_the_first_day_that_had_not_been_judged(path, measured):
    looks = [look_at(path)]
    seen, _, days = money(measured, path, (), AS_OF_NS)
    assert len(seen) == days == 4
    logged_late(path)
    for as_of_ns in (AS_OF_NS, LATER_NS):
        found, gain, days = money(measured, path, looks, as_of_ns)
        assert found[:4] == seen
    assert len(found) == days == 5
    unlooked, same_gain, _ = money(measured, path, ())
    assert unlooked[:4] != seen
    assert found[-1].gain == pytest.approx(unlooked[-1].gain) == pytest.approx(gain)
    assert gain == same_gain


@pytest.mark.parametrize("measured", [on_probation, in_the_shadow])
def test_rows_whose_outcome_comes_late_are_too(tmp_path, measured):
    late = replace(LIVE, known_ns=np.where(np.isin(ROWS, LATE), AS_OF_NS + 1, LIVE.known_ns))
    path = write_log(tmp_path / "log.db", *calls(ROWS), [outcomes(late)])
    seen, _, _ = money(measured, path, (), AS_OF_NS)
    assert money(measured, path, [look_at(path)])[0][:4] == seen != money(measured, path, ())[0][:4]
    recorded_late = write_log(tmp_path / "other.db", *calls(ROWS), [outcomes(LIVE, ON_TIME.tolist())])
    looks = [look_at(recorded_late)]
    write_log(recorded_late, [], [], [outcomes(LIVE, LATE.tolist())])
    assert money(measured, recorded_late, looks)[0] == money(measured, path, [look_at(path)])[0]


def test_rows_come_in_any_order_where_nobody_looked_in_between(path, tmp_path):
    other = tmp_path / "other.db"
    for rows in (LATE, ON_TIME[300:], ON_TIME[:300]):
        write_log(other, *calls(rows), [outcomes(LIVE, rows.tolist())])
    for measured in (on_probation, in_the_shadow):
        found = measured_late(path, measured, looked=False)
        with LogReader(other) as reader:
            assert measured(reader).digest == found.digest
        looked = Look(START_NS, 0)  # before anything had happened
        with LogReader(other) as reader:
            assert measured(reader, [looked]).digest == found.digest


moments = st.integers(0, 6)


@given(
    rows=st.lists(st.tuples(moments, moments), max_size=30),
    looks=st.lists(st.tuples(moments, moments), max_size=6),
)
def test_each_look_goes_on_from_the_one_before(rows, looks):
    """However rows come, and also where a look is as of an earlier hour than the one before it."""
    event_ns, written_ns = np.array(rows, np.int64).reshape(-1, 2).T * np.array([[HOUR_NS // 2], [1]])
    taken = sorted((Look(as_of * HOUR_NS, logged) for as_of, logged in looks), key=lambda one: one.logged_ns)
    seen: list[int] = []
    for number, look in enumerate(taken):
        ended_ns = max(hour_start(one.as_of_ns + 1) for one in taken[: number + 1])
        counts = np.flatnonzero((event_ns < ended_ns) & (written_ns <= look.logged_ns))
        counts = counts[np.lexsort((counts, event_ns[counts]))]
        first = first_look(taken[:number], event_ns[counts], written_ns[counts], hour_start)
        order = counts[order_of(first)].tolist()
        assert order[: len(seen)] == seen
        seen = order


def test_a_look_goes_on_from_those_that_saw_less():
    looks = [Look(5, 10), Look(6, 20), Look(7, 20), Look(8, 30)]
    assert before(looks, Look(7, 20)) == looks[:2]
    assert before(looks, Look(9, 40)) == looks
