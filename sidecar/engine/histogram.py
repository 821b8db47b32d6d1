"""Durations counted in log-linear buckets, as HdrHistogram does. `dataplane/src/histogram.rs` is its twin.

A bucket is at most 1/64 of its values wide. Below 128 ns each nanosecond has a bucket; above, each power of
two has 64 of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sidecar.engine.contract import StageTimes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SUB_BITS = 6
_VALUE_BITS = 36
_MOST = 2**_VALUE_BITS - 1
_EXACT_BITS = _SUB_BITS + 1
_EXACT = 2**_EXACT_BITS  # below, each nanosecond has a bucket

BUCKETS = (_VALUE_BITS - _SUB_BITS + 1) << _SUB_BITS


class Histogram:
    """Counts of nanoseconds, written by one thread and read by any."""

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS  # plain ints: a numpy element would cost four times as much to count up

    def record(self, ns: int) -> None:
        """Count a duration; a negative one as 0, and what would be over 68 s as that."""
        value = ns if 0 <= ns <= _MOST else 0 if ns < 0 else _MOST
        exponent = value.bit_length() - _EXACT_BITS if value >= _EXACT else 0
        self._counts[(exponent << _SUB_BITS) + (value >> exponent)] += 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """The counts now, bucket by bucket."""
        return np.array(self._counts, np.int64)


def _upper_edges() -> NDArray[np.int64]:
    """The greatest value of each bucket."""
    buckets = np.arange(BUCKETS, dtype=np.int64)
    exponents = np.maximum((buckets >> _SUB_BITS) - 1, 0)
    edges: NDArray[np.int64] = ((buckets - (exponents << _SUB_BITS) + 1) << exponents) - 1
    return edges


_UPPER_EDGES = _upper_edges()


def stage_times(counts: NDArray[np.int64]) -> StageTimes:
    """Quantiles by nearest rank: the least value that so large a part of all values does not exceed.

    counts: int64 [BUCKETS]. A value is given as the greatest of its bucket.

    >>> histogram = Histogram()
    >>> for ns in range(1, 101):
    ...     histogram.record(ns)
    >>> stage_times(histogram.counts)
    StageTimes(count=100, p50_ns=50, p99_ns=99, p999_ns=100, max_ns=100)
    """
    reached = np.cumsum(counts)
    count = int(reached[-1])
    if not count:
        return StageTimes()
    ranks = [-(-count * per_mille // 1000) for per_mille in (500, 990, 999, 1000)]
    p50, p99, p999, most = _UPPER_EDGES[np.searchsorted(reached, ranks)].tolist()
    return StageTimes(count=count, p50_ns=p50, p99_ns=p99, p999_ns=p999, max_ns=most)
