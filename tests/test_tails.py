"""Tails against scipy's."""

import doctest

import numpy as np
import pytest
from scipy import stats

from sidecar.drift import tails
from sidecar.drift.tails import chi_square_z, normal_z, share_z


@pytest.mark.parametrize("tail", [0.4, 1e-3, 1e-9, 1e-200])
def test_z_of_a_tail(tail):
    assert normal_z(tail) == pytest.approx(stats.norm.isf(tail), abs=1e-6)


def test_no_tail_at_all_is_as_far_as_doubles_go():
    assert normal_z(0.0) == 38.0


@pytest.mark.parametrize("freedom", [1, 2, 5, 20, 100])
@pytest.mark.parametrize("tail", [0.05, 1e-3, 1e-5])
def test_chi_square_errs_to_the_safe_side_and_not_by_much(freedom, tail):
    statistic = stats.chi2.isf(tail, freedom)
    (z,) = chi_square_z(np.array([statistic]), np.array([float(freedom)]))
    exact = stats.norm.isf(tail)
    assert exact - 0.25 < z < exact + 0.03


def test_chi_square_without_freedom_is_no_surprise():
    assert chi_square_z(np.array([7.0]), np.array([0.0])).tolist() == [0.0]


@pytest.mark.parametrize(
    ("events", "other"), [(1, 0), (3, 0), (12, 3), (5, 20), (0, 2000), (0, 5000), (2, 4000)]
)
def test_few_events_have_their_exact_tail(events, other):
    rows, other_rows = 500, 100_000
    z = one_share(events, rows, other, other_rows)
    together, part = events + other, rows / (rows + other_rows)
    if events > together * part:
        assert z == pytest.approx(stats.norm.isf(stats.binom.sf(events - 1, together, part)), rel=1e-6)
    else:
        assert z == pytest.approx(-stats.norm.isf(stats.binom.cdf(events, together, part)), rel=1e-6)


def test_many_events_have_the_score_test():
    z = one_share(80, 1000, 5000, 100_000)
    pooled = 5080 / 101_000
    expected = (0.08 - 0.05) / np.sqrt(pooled * (1 - pooled) * (1 / 1000 + 1 / 100_000))
    assert z == pytest.approx(expected, rel=1e-9)


def test_no_rows_and_no_events_are_no_surprise():
    assert one_share(0, 0, 5, 100) == 0
    assert one_share(0, 100, 0, 100) == 0
    assert one_share(100, 100, 100, 100) == 0


def one_share(*figures):
    (z,) = share_z(*(np.array([figure]) for figure in figures))
    return z


def test_the_examples():
    assert doctest.testmod(tails).failed == 0
