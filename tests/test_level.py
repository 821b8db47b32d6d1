import numpy as np
import pytest

from trainer.days import DAY_NS
from trainer.monitor.level import LEAST_DAYS, Daily, compare

BEFORE, NOW = 56, 14
DAYS = BEFORE + NOW


def daily(rates, *, rows: int = 400, seed: int = 0, first_day: int = 0) -> Daily:
    """Days of about `rows` rows, a share of which is positive."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rows, len(rates))
    return of_shares(rng.binomial(counts, rates), counts, first_day)


def of_shares(positive, counts, first_day: int = 0) -> Daily:
    """Days of so many rows, so many of them positive."""
    event_ns = np.repeat((first_day + np.arange(len(counts))) * DAY_NS, counts)
    label = np.concatenate([np.arange(rows) < yes for yes, rows in zip(positive, counts, strict=True)])
    return Daily.of(event_ns, label.astype(np.float64))


def weather(days: int, correlation: float, seed: int) -> np.ndarray:
    """Label rates that wander around 18 %, each day like the one before."""
    rng = np.random.default_rng(seed)
    state, states = rng.normal(), []
    for _ in range(days):
        state = correlation * state + np.sqrt(1 - correlation**2) * rng.normal()
        states.append(state)
    return np.clip(0.18 * np.exp(0.4 * np.array(states) - 0.08), 0.01, 0.9)


def split(days: Daily):
    edge = BEFORE * DAY_NS
    return days.between(0, edge), days.between(edge, edge + NOW * DAY_NS)


def test_days_of_rows_are_summed():
    event_ns = np.array([0, 5, DAY_NS - 1, 3 * DAY_NS])
    days = Daily.of(event_ns, np.array([1.0, 2.0, 3.0, 10.0]))
    assert days.start_ns.tolist() == [0, 3 * DAY_NS]
    assert days.sums.tolist() == [6.0, 10.0]
    assert days.counts.tolist() == [3.0, 1.0]
    assert days.squares.tolist() == [3.0, 1.0]
    assert days.within.tolist() == [2.0, 0.0]
    assert days.mean == 4.0


def test_rows_that_stand_for_others_count_as_so_many():
    event_ns = np.array([0, 5, 7, DAY_NS])
    days = Daily.of(event_ns, np.array([1.0, 1.0, 4.0, 2.0]), np.array([1.0, 2.0, 3.0, 1.0]))
    assert days.sums.tolist() == [15.0, 2.0]
    assert days.counts.tolist() == [6.0, 1.0]
    assert days.squares.tolist() == [14.0, 1.0]
    assert days.within.tolist() == [3 * 1.5**2 + 3 * 1.5**2, 0.0]


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.6])
def test_level_that_only_wanders_is_seldom_called_a_shift(correlation):
    found = [compare(*split(daily(weather(DAYS, correlation, seed), seed=seed))).p for seed in range(250)]
    assert np.mean(np.array(found) < 0.01) < 0.035
    assert np.mean(np.array(found) < 0.05) < 0.1


def test_level_that_doubles_is_found_and_dated():
    sure = 0
    for seed in range(100):
        rates = np.minimum(weather(DAYS, 0.3, seed) * np.where(np.arange(DAYS) >= BEFORE + 1, 2, 1), 0.9)
        shift = compare(*split(daily(rates, seed=seed)))
        sure += shift.p < 0.01
        assert shift.relative > 0
    assert sure > 80
    steady = np.where(np.arange(DAYS) >= BEFORE + 1, 0.3, 0.15)
    assert compare(*split(daily(steady))).since_ns == (BEFORE + 1) * DAY_NS


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_days_of_few_rows_beside_days_of_many_are_seldom_called_a_shift(rows):
    found = []
    for seed in range(400):
        rates = weather(DAYS, 0.3, seed)
        before = daily(rates[:BEFORE], rows=300, seed=seed)
        counts = np.full(NOW, rows)
        positive = np.random.default_rng(1000 + seed).binomial(counts, rates[BEFORE:])
        found.append(compare(before, of_shares(positive, counts, BEFORE)).p)
    assert np.mean(np.array(found) < 0.01) < 0.035
    assert np.mean(np.array(found) < 0.05) < 0.1


def test_two_of_fourteen_are_no_rise_and_half_of_fifty_are():
    before = daily(np.full(BEFORE, 0.047), rows=300)
    counts = np.array([1, 2, 1, 1, 2, 1, 1, 2, 2, 1])
    assert compare(before, of_shares(np.array([1, 0, 0, 0, 1, 0, 0, 0, 0, 0]), counts, BEFORE)).p > 0.05
    assert compare(before, of_shares(2 * counts, 4 * counts, BEFORE)).p < 1e-6


def test_too_few_days_say_nothing():
    days = daily(np.full(BEFORE + LEAST_DAYS - 1, 0.2))
    assert compare(*split(days)) is None
    assert compare(days.between(0, 0), days) is None


def test_days_without_any_spread_need_no_test():
    def even(first_day: int, days: int, rows: int, value: float) -> Daily:
        return Daily.of(np.repeat((first_day + np.arange(days)) * DAY_NS, rows), np.full(days * rows, value))

    before, same, other = even(0, 28, 10, 0.25), even(28, 7, 20, 0.25), even(28, 7, 20, 0.3125)
    assert compare(before, same).p == 1
    assert compare(before, other).p == 0
    assert compare(before, other).relative == pytest.approx(0.25)
