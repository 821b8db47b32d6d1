"""What is known of who newly answers calls, from a log."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from small_log import CHAMPION, model, oracle, outcomes, scored, served, write_log
from small_task import START_NS, task, traffic

from sidecar.store.reader import LogReader
from trainer.betting import BETS, e_value
from trainer.days import DAY_NS, hour_start
from trainer.probation.facts import Probation
from trainer.probation.measure import measure_probation
from trainer.report import waits_view

FORMER = model("f")
DAYS = 6
LIVE = traffic(30, DAYS, rows_a_day=100)
ROWS = np.arange(DAYS * 100)
WHOLE = np.count_nonzero(LIVE.event_ns < START_NS + 35 * DAY_NS)
"""Rows of the days that have ended; they have matured too."""


def log(path, *, of_former=None):
    """The new champion is wrong on three rows in ten, the former one on one in ten."""
    new, former = oracle(LIVE, wrong=0.3, seed=1), oracle(LIVE, wrong=0.1, seed=2)
    return write_log(
        path / "log.db",
        [served(LIVE, new, ROWS), *(of_former or [])],
        [scored(LIVE, former, ROWS, FORMER)],
        [outcomes(LIVE)],
    )


def measured(path, *, of=task, **options):
    with LogReader(path) as reader:
        return measure_probation(of, reader, CHAMPION, FORMER, **options)


def with_policy(**changes):
    return replace(task, policy=replace(task.policy, **changes))


def test_readings_are_bets_on_the_former_champion_begun_anew_each_day(tmp_path):
    found = measured(log(tmp_path), of=with_policy(probation_days=10))
    amount = LIVE.columns["amount"].astype(np.float32).astype(float)
    worth = np.where(LIVE.label == 1, 0.5 * amount - 20, -20.0)
    new, former = (oracle(LIVE, wrong=w, seed=s) > 0.5 for w, s in ((0.3, 1), (0.1, 2)))
    gain = np.minimum(worth * former - worth * new, 80.0)
    day, hour = (LIVE.event_ns - START_NS) // DAY_NS - 30, LIVE.columns["hour"]
    units = [
        [gain[(day == number) & (hour == one)].sum() / 600 for one in range(24)] for number in range(DAYS - 1)
    ]
    assert len(found.readings) == DAYS - 1
    for last, reading in enumerate(found.readings):
        for bet, logged in zip(BETS, reading.capital, strict=True):
            parts = [
                math.prod(1 + bet * one for number in range(begin, last + 1) for one in units[number])
                for begin in range(last + 1)
            ]
            assert math.exp(logged) == pytest.approx((sum(parts) + 10 - last - 1) / 10, rel=1e-6)
    assert found.readings[-1].gain == pytest.approx(600 * sum(map(sum, units)), rel=1e-6)


def test_rows_received_before_do_not_count(tmp_path):
    path = log(tmp_path)
    later = measured(path, received_since_ns=START_NS + 33 * DAY_NS)
    assert later.evidence.judged.since_ns == START_NS + 33 * DAY_NS
    assert len(later.readings) == 2
    assert len(measured(path).readings) == 5


def test_days_at_a_share_begin_after_the_day_on_which_it_was_given(tmp_path):
    path = log(tmp_path)
    found = measured(path, share=0.5, share_since_ns=START_NS + 32 * DAY_NS + 1)
    assert (found.days, found.evidence.judged.days) == (2, 5)
    assert measured(path, share=0.5).days == 5


def test_days_mature_without_a_score_of_the_former_one(tmp_path):
    found = measured(log(tmp_path))
    assert (found.evidence.judged.days, found.matured_days) == (5, 4)
    nobody = write_log(
        tmp_path / "alone.db", [served(LIVE, oracle(LIVE, wrong=0.3, seed=1), ROWS)], [], [outcomes(LIVE)]
    )
    found = measured(nobody)
    assert (found.evidence.judged.days, found.matured_days) == (0, 4)
    assert measured(nobody, received_since_ns=START_NS + 33 * DAY_NS).matured_days == 1
    assert measured(nobody, as_of_ns=START_NS + 30 * DAY_NS).matured_days == 0


def test_a_row_with_an_old_date_does_not_end_a_probation_early(tmp_path):
    score = oracle(LIVE, wrong=0.3, seed=1)
    old = traffic(10, 1, rows_a_day=10)
    late = replace(served(old, np.full(10, 0.9, np.float32), np.arange(10)), received_ns=LIVE.event_ns[-10:])
    path = write_log(tmp_path / "log.db", [late, served(LIVE, score, ROWS)], [], [outcomes(LIVE)])
    assert measured(path).matured_days == 4


def test_a_first_row_with_an_old_date_does_not_make_days_older(tmp_path):
    score, since_ns = oracle(LIVE, wrong=0.3, seed=1), START_NS + 34 * DAY_NS + DAY_NS // 2
    received_ns = LIVE.event_ns + 5
    received_ns[120] = since_ns  # of the second day
    calls = replace(served(LIVE, score, ROWS), received_ns=received_ns)
    former = scored(LIVE, oracle(LIVE, wrong=0.1, seed=2), ROWS, FORMER)
    late, path = write_log(tmp_path / "late.db", [calls], [former], [outcomes(LIVE)]), log(tmp_path)
    probation = {"received_since_ns": since_ns}
    assert measured(late, **probation).matured_days == measured(path, **probation).matured_days == 0
    share = {"share": 0.5, "share_since_ns": since_ns}
    assert measured(late, **share).days == measured(path, **share).days == 0


def test_a_canary_that_nobody_called_has_days_too(tmp_path):
    path = write_log(
        tmp_path / "log.db",
        [served(LIVE, oracle(LIVE, wrong=0.1, seed=2), ROWS, FORMER)],
        [],
        [outcomes(LIVE)],
    )
    found = measured(path, share=0.01)
    assert (found.days, found.matured_days, found.speed) == (0, 4, None)


def test_stretches_of_several_days_are_read_at_their_end(tmp_path):
    found = measured(log(tmp_path), of=with_policy(rollback_every_days=2, probation_days=4))
    assert [reading.until for reading in found.readings] == ["2024-02-01", "2024-02-03"]


def test_a_champion_that_may_cost_a_little_may_do_so_on_probation(tmp_path):
    path = log(tmp_path)
    strict, lenient = measured(path), measured(path, of=with_policy(min_gain_per_1000=-5_000))
    assert lenient.readings[-1].gain == pytest.approx(strict.readings[-1].gain - 5 * WHOLE)


def test_facts_survive_json_and_do_not_depend_on_when_they_are_read(tmp_path):
    path = log(tmp_path)
    found = measured(path)
    assert Probation.from_json(json.loads(found.canonical_json)) == found
    assert measured(path).digest == found.digest
    assert measured(path, as_of_ns=START_NS + 34 * DAY_NS).digest != found.digest


def timed(beside):
    """Which calls of the canary's and of the champion's, `beside`, count: of hours that have ended."""
    until_ns = hour_start(max(LIVE.event_ns[-1], beside.event_ns[-1]) + 1)
    began_ns = LIVE.event_ns[0]
    return LIVE.event_ns < until_ns, (beside.event_ns >= began_ns) & (beside.event_ns < until_ns)


def test_a_budget_in_multiples_is_of_what_the_champion_takes_beside_its_canary(tmp_path):
    beside = traffic(30, 6, rows_a_day=100, seed=9)
    other = served(beside, oracle(beside, wrong=0.1, seed=3), np.arange(600), FORMER, cpu_ns=5_000)
    multiples = with_policy(latency_budget_us=None, latency_budget_times=2.0)
    found = measured(log(tmp_path, of_former=[other]), of=multiples, share=0.5).speed
    assert found.budget.us == pytest.approx(10.0)
    rows = np.count_nonzero(timed(beside)[0])
    assert (found.rows, found.over) == (rows, rows)
    # A champion has nobody beside it, and what was before may have been other traffic.
    assert measured(log(tmp_path / "alone"), of=multiples).speed is None
    assert measured(log(tmp_path / "fixed")).speed.over == 0


def waiting(path):
    """A log of the canary's calls, 40 us each, and of the champion's beside it: one in fifty waits longer."""
    rows = traffic(30, DAYS, rows_a_day=100, seed=9)
    score = oracle(rows, wrong=0.1, seed=3)
    queue_ns = np.where(ROWS % 50, 10_000, 90_000)
    beside = replace(served(rows, score, ROWS, FORMER, cpu_ns=5_000), queue_ns=queue_ns)
    earlier = traffic(20, 5, rows_a_day=100, seed=8)
    before = served(earlier, oracle(earlier, wrong=0.1, seed=3), np.arange(500), FORMER, cpu_ns=500_000)
    return log(path, of_former=[beside, before]), rows


def test_how_long_callers_waited_is_shown_beside_the_champions_of_the_same_days(tmp_path):
    path, rows = waiting(tmp_path)
    found = measured(path, share=0.5)
    calls, beside_calls = timed(rows)
    assert (found.waits.calls, found.waits.beside_calls) == (np.sum(calls), np.sum(beside_calls))
    # The newcomer's runs took 40 us and nobody queued; the champion's took 10 us, after 10 us or 90.
    assert found.waits.waited.p50.us == found.waits.waited.p999.us == 40
    one = found.waits.beside
    assert (one.p50.us, one.p99.us, one.p999.us) == (20, 100, 100)
    assert Probation.from_json(json.loads(found.canonical_json)) == found
    assert measured(path).waits is None
    words = waits_view(found.waits, ("canary", "champion")).plain
    assert f"canary 40 / 40 [40; 40] / 40 over {np.sum(calls)} calls, champion 20 / 100" in words
    assert "shown only" in words
    later = measured(path, share=0.5, share_since_ns=START_NS + 33 * DAY_NS).waits
    assert 0 < later.beside_calls < np.sum(beside_calls) / 2


def test_a_wait_budget_is_held_against_calls_that_are_drawn_by_their_ids(tmp_path):
    path, rows = waiting(tmp_path)
    calls, beside_calls = timed(rows)
    budget = with_policy(canary=(0.5,), canary_wait_budget_us=30, latency_block=5)
    found = measured(path, of=budget, share=0.5)
    excess = found.waits.excess
    assert (excess.slow, excess.block) == (np.sum(calls), 10)
    assert excess.beside_slow == np.count_nonzero(beside_calls & (ROWS % 50 == 0))
    assert e_value(excess.beyond) > 1e6
    assert f"over 30 us {np.sum(calls)} and " in waits_view(found.waits, ("canary", "champion")).plain
    assert Probation.from_json(json.loads(found.canonical_json)) == found
    assert measured(path, of=budget, share=0.5, drawn_by="hour").waits.excess is None


def test_rows_of_one_call_waited_once(tmp_path):
    rows = traffic(30, DAYS, rows_a_day=100, seed=9)
    call = ROWS // 4
    beside = served(rows, oracle(rows, wrong=0.1, seed=3), ROWS, FORMER, cpu_ns=5_000)
    beside = replace(beside, group=call, received_ns=rows.event_ns[4 * call])
    found = measured(log(tmp_path, of_former=[beside]), share=0.5)
    assert found.waits.beside_calls == len(np.unique(call[timed(rows)[1]]))


def test_of_a_call_that_was_made_twice_the_first_counts_whichever_was_written_first(tmp_path):
    path, rows = waiting(tmp_path)
    once = measured(path, share=0.5).waits
    score = oracle(rows, wrong=0.1, seed=3)
    calls = served(rows, score, ROWS, FORMER, cpu_ns=5_000)
    calls = replace(calls, queue_ns=np.where(ROWS % 50, 10_000, 90_000))
    again = replace(
        served(rows, score, ROWS[:50], FORMER),
        received_ns=calls.received_ns[:50] + 10**9,
        queue_ns=ROWS[:50] + 10**8,
    )
    for name, batches in (("before", [again, calls]), ("after", [calls, again])):
        assert measured(log(tmp_path / name, of_former=batches), share=0.5).waits == once


def test_calls_that_the_canary_failed_waited_for_it(tmp_path):
    path, rows = waiting(tmp_path)
    of_its_own, others = measured(path, share=0.5).waits, timed(rows)[1]
    failed = others & (ROWS % 100 == 1)
    score = oracle(rows, wrong=0.1, seed=3)
    beside = served(rows, score, ROWS, FORMER, cpu_ns=5_000)
    beside = replace(
        beside,
        queue_ns=np.where(ROWS % 50, 10_000, 90_000),
        failed_ns=np.where(failed, 7_000_000, 0),
    )
    found = measured(log(tmp_path / "failing", of_former=[beside]), share=0.5).waits
    assert found.calls == of_its_own.calls + np.sum(failed)
    assert found.beside_calls == of_its_own.beside_calls - np.sum(failed)
    assert found.waited.p999.us == 10 + 7_000 + 10
    assert found.beside.p999.us == 100
