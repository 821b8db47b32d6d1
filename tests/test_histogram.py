import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.engine import histogram
from sidecar.engine.contract import StageTimes
from sidecar.engine.histogram import BUCKETS, Histogram, stage_times

MOST = 2**36 - 1
DURATIONS = st.one_of(
    st.integers(0, 300), st.integers(0, MOST), st.integers(0, 36).map(lambda bits: 2**bits - 1)
)


def recorded(*durations):
    made = Histogram()
    for ns in durations:
        made.record(ns)
    return made


def agreed_bucket(value):
    """As the native engine's layout is written down."""
    if value < 64:
        return value
    exponent = value.bit_length() - 1 - 6
    return 64 + exponent * 64 + ((value >> exponent) - 64)


def test_the_documentation_is_right():
    assert doctest.testmod(histogram).failed == 0


@given(DURATIONS)
def test_the_layout_is_the_one_agreed_with_the_native_engine(value):
    assert BUCKETS == 1984
    [bucket] = np.flatnonzero(recorded(value).counts)
    assert bucket == agreed_bucket(value)


@given(DURATIONS)
def test_a_bucket_stands_for_its_greatest_value_at_most_2_percent_above(value):
    shown = stage_times(recorded(value).counts).max_ns
    assert value <= shown <= value * 65 / 64
    assert agreed_bucket(shown) == agreed_bucket(value)


@pytest.mark.parametrize(
    ("ns", "bucket"), [(-1, 0), (-(2**63), 0), (MOST + 1, BUCKETS - 1), (2**63 - 1, BUCKETS - 1)]
)
def test_what_is_out_of_range_counts_at_the_ends(ns, bucket):
    assert recorded(ns).counts[bucket] == 1


@given(st.lists(DURATIONS, min_size=1, max_size=50))
def test_quantiles_are_by_nearest_rank(durations):
    exact = np.quantile(durations, [0.5, 0.99, 0.999, 1], method="inverted_cdf").tolist()
    times = stage_times(recorded(*durations).counts)
    assert times.count == len(durations)
    shown = [times.p50_ns, times.p99_ns, times.p999_ns, times.max_ns]
    assert [agreed_bucket(value) for value in shown] == [agreed_bucket(value) for value in exact]


def test_a_large_count_keeps_its_ranks_exact():
    counts = np.zeros(BUCKETS, np.int64)
    counts[[1, 2, 3]] = [998_999_999_999_999, 1, 1_000_000_000_000]
    times = stage_times(counts)
    assert (times.count, times.p99_ns, times.p999_ns, times.max_ns) == (10**15, 1, 2, 3)


def test_nothing_recorded_is_all_zero():
    assert stage_times(Histogram().counts) == StageTimes()
