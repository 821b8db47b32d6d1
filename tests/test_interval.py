import doctest
import math

import numpy as np
import pytest

from trainer import interval
from trainer.interval import Day, gain_interval


def days(*gains: float, decisions=200) -> tuple[Day, ...]:
    """One day for each gain per 1,000 decisions."""
    return tuple(
        Day(f"2024-01-{number:02}", decisions, 20, 0.0, gain * decisions / 1000, gain * decisions / 1000)
        for number, gain in enumerate(gains, 1)
    )


def test_interval_matches_the_textbook_on_equal_days():
    gain = gain_interval(days(10, 20, 30, 40), 0.9)
    half = 2.353363 * 12.909944 / 2  # t with 3 degrees of freedom, sample deviation over the root of 4
    assert gain.estimate == pytest.approx(25)
    assert gain.lower == pytest.approx(25 - half, rel=1e-6)
    assert gain.upper == pytest.approx(25 + half, rel=1e-6)


def test_interval_weighs_days_by_their_decisions():
    small, large = days(100, decisions=10)[0], days(10, decisions=990)[0]
    assert gain_interval([small, large], 0.95).estimate == pytest.approx(10.9)


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(1000):
        sizes = rng.integers(100, 400, 14)
        gains = rng.normal(7.0, 40.0, 14) * sizes / 1000
        unit = [Day(str(n), int(s), 1, 0.0, g, g) for n, (s, g) in enumerate(zip(sizes, gains, strict=True))]
        gain = gain_interval(unit, 0.9)
        covered += gain.lower <= 7 <= gain.upper
    assert 0.86 < covered / 1000 < 0.93


def test_interval_of_nothing_promises_nothing():
    empty = gain_interval([], 0.95)
    assert math.isnan(empty.estimate)
    assert (empty.lower, empty.upper) == (-math.inf, math.inf)


def test_documented_examples_hold():
    assert doctest.testmod(interval).failed == 0
