"""The whole gate on a few of the streams of docs/gate.md whose labels are late or hidden."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.gate import whole
from benchmarks.gate.ending import BETS, ask
from benchmarks.gate.payments import DAYS, MATURITY, MOST_A_DAY, draw
from benchmarks.gate.payments_log import Traffic, impatient
from benchmarks.gate.whole import HIDDEN, HIDDEN_BETTER, LATE, LATE_BETTER, PATIENCE
from trainer.days import DAY_NS

NUMBER = 10_000
"""Streams from here on are none of those on the page."""
SOON = 28
NULLS = [*LATE.values(), HIDDEN]


def soon(task):
    """The same with an early deadline, so that fewer looks are needed."""
    return replace(task, policy=replace(task.policy, deadline_days=SOON))


@pytest.mark.parametrize("world", NULLS)
def test_nothing_is_gained_in_expectation_and_something_where_it_should_be(world):
    assert world.gain == pytest.approx(0, abs=1e-12)
    gains = np.concatenate([draw(np.random.default_rng([5, at]), world, "s").gain() for at in range(6)])
    assert abs(gains.mean()) < 4 * gains.std() * MOST_A_DAY**0.5 / len(gains) ** 0.5
    assert all(better.gain > 3 for better in (*LATE_BETTER.values(), HIDDEN_BETTER))


def test_no_unit_can_lose_more_than_declared_also_where_an_explored_row_stands_for_many():
    for world, share in ((LATE["blocks less"], 0.0), (HIDDEN, 0.02)):
        stakes = ask(
            Traffic.of(draw(np.random.default_rng(6), world, "s"), soon(world.task(share)))
        ).evidence.stakes
        assert stakes.units_beyond == stakes.rows_beyond == 0
        assert stakes.unit_most > stakes.unit_bound / 4


@pytest.mark.parametrize("name", LATE)
def test_late_labels_promote_nobody_who_gains_nothing_and_those_who_look_too_soon(name):
    found = whole.late_null(name, NUMBER)
    assert not found.gate.promoted
    assert found.gate.days == DAYS
    assert found.naive.promoted
    assert found.naive.days < 60
    assert found.guarded


def test_hidden_labels_promote_nobody_who_gains_nothing_and_those_who_leave_them_out():
    found = whole.hidden_null(0.2, NUMBER)
    assert not found.gate.promoted
    assert found.naive.promoted
    assert found.guarded


def test_who_gains_is_promoted_with_late_and_with_hidden_labels():
    late, hidden = whole.late_better("blocks less", NUMBER), whole.hidden_better(0.2, NUMBER)
    assert late.promoted
    assert hidden.promoted
    assert late.won
    assert MATURITY.days + 7 <= hidden.days < late.days < DAYS


def test_without_exploration_who_gains_is_held_for_that():
    task = replace(soon(HIDDEN_BETTER.task(0.2)), explore=0.0)
    ending = ask(Traffic.of(draw(np.random.default_rng(7), HIDDEN_BETTER, "s"), task))
    assert not ending.promoted
    assert ending.stood == "doubt"
    assert ending.evidence.hidden.without_chance == ending.evidence.hidden.hidden > 500


@pytest.mark.parametrize(("world", "share"), [(LATE["blocks less"], 0.0), (HIDDEN_BETTER, 0.2)])
def test_asked_every_day_the_gate_says_the_same_on_the_same_day(world, share):
    traffic = Traffic.of(draw(np.random.default_rng(8), world, "s"), soon(world.task(share)))
    weekly, daily = ask(traffic), ask(traffic, every_day=True)
    assert (weekly.days, weekly.promoted, weekly.stood) == (daily.days, daily.promoted, daily.stood)
    assert weekly.evidence.digest == daily.evidence.digest
    if share:  # the bets won at the end of a cycle, and too few rows held it until one of the days after
        assert weekly.promoted
        assert weekly.held == "gap"
        assert weekly.days % 7 != (MATURITY.days + 7) % 7
    else:
        assert (weekly.days, weekly.stood) == (MATURITY.days + SOON, BETS)


def test_who_is_impatient_reports_each_payment_good_after_a_week_unless_fraud_was_heard_of():
    payments = draw(np.random.default_rng(9), LATE["blocks less"], "s", days=20)
    report = impatient(payments, PATIENCE)
    assert (np.diff(report.observed_ns) >= 0).all()
    good = np.sort(report.row[~report.fraud])
    assert (np.diff(good) > 0).all()
    late = np.intersect1d(good, report.row[report.fraud])
    assert len(late) > 50
    assert (payments.known_ns[late] > 7 * DAY_NS).all()
    assert set(report.row.tolist()) == set(range(len(payments.ids)))
