"""Medians, ratios and fitted lines of benchmarks/."""

import numpy as np
import pytest

from benchmarks.pages.soak import failures, growth
from benchmarks.statistics import Line, Summary, ratio


def test_a_summary_is_median_least_and_most():
    assert Summary.of([3.0, 1.0, 2.0]) == Summary(2.0, 1.0, 3.0)
    with pytest.raises(ValueError, match="no rounds"):
        Summary.of([])


def test_ratios_are_taken_round_by_round():
    # The second round was twice as slow for both: the ratio does not see it.
    assert ratio([10.0, 5.0, 12.0], [5.0, 2.5, 6.0]) == Summary(2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])


def test_the_slopes_error_is_that_of_least_squares():
    noise = np.random.default_rng(1).normal(0, 3.0, (400, 50))
    at = np.arange(50.0)
    slopes, errors = zip(
        *((line.slope, line.slope_error) for line in (Line.through(at, 2 * at + each) for each in noise)),
        strict=True,
    )
    assert np.mean(slopes) == pytest.approx(2, abs=0.01)
    assert np.mean(errors) == pytest.approx(np.std(slopes), rel=0.1)


def test_a_line_needs_three_places():
    with pytest.raises(ValueError, match="three samples"):
        Line.through([1, 2], [1, 2])
    with pytest.raises(ValueError, match="three samples"):
        Line.through([1, 1, 1], [1, 2, 3])


def soaked(rss, **rest):
    samples = [{"seconds": at, "rss_bytes": value * 2**20, "log_bytes": 0} for at, value in enumerate(rss)]
    calls = {"planned": 10, "requests": 10, "ends": {"0": 10}, "errors": {}, "swap_errors": []}
    rows = {"served": 12, "written": 11, "dropped": 1}
    return {"samples": samples, **calls, **rows, **rest}


def test_memory_that_settles_is_flat_and_memory_that_leaks_is_not():
    rng = np.random.default_rng(2)
    settled = [60 + min(at, 20) + rng.normal(0, 0.3) for at in range(300)]
    assert growth(soaked(settled)).flat
    leaking = [80 + at * 0.02 + rng.normal(0, 0.3) for at in range(300)]
    found = growth(soaked(leaking))
    assert not found.flat
    assert found.fitted == pytest.approx(0.02 * 240, rel=0.1)


def test_every_kind_of_failure_counts():
    fine = [1.0] * 10
    assert failures(soaked(fine)) == 0
    assert failures(soaked(fine, ends={"0": 8, "14": 2})) == 2
    assert failures(soaked(fine, requests=7, ends={"0": 7})) == 3  # planned, and never sent
    assert failures(soaked(fine, swap_errors=["no"], errors={"INTERNAL": 3})) == 4
    assert failures(soaked(fine, written=7)) == 4  # answered, and neither recorded nor counted as dropped
