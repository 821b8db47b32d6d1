"""Whether a daily share or a daily sum of money has left its earlier level. Pure.

Days are the units, and neighbouring days resemble each other, so the error of a mean over n days is larger
than its spread says: by (1 + r) / (1 - r) in the variance, r being the correlation of a day with the one
before (effective sample size of an AR(1) series; D. S. Wilks, Statistical Methods in the Atmospheric
Sciences, ch. 5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr

from trainer.days import DAY_NS

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_DAYS = 7
"""Of either stretch; with fewer nothing is said."""
MOST_CORRELATION = 0.8


@dataclass(frozen=True, eq=False)
class Daily:
    """A sum over rows and their number, for each UTC day that has rows. start_ns: int64 [days], in order."""

    start_ns: NDArray[np.int64]
    sums: NDArray[np.float64]
    counts: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.start_ns)

    @classmethod
    def of(
        cls,
        event_ns: NDArray[np.int64],
        values: NDArray[np.float64],
        weight: NDArray[np.float64] | None = None,
    ) -> Daily:
        """The days of rows; all [n]. weight: how many rows each stands for; itself when not given."""
        days, place = np.unique(event_ns // DAY_NS, return_inverse=True)
        each = np.ones(len(values)) if weight is None else weight
        return cls(
            days * DAY_NS,
            np.bincount(place, weights=each * values, minlength=len(days)).astype(np.float64),
            np.bincount(place, weights=each, minlength=len(days)).astype(np.float64),
        )

    def between(self, since_ns: int, until_ns: int) -> Daily:
        """The days that begin in [since_ns, until_ns)."""
        inside = (self.start_ns >= since_ns) & (self.start_ns < until_ns)
        return Daily(self.start_ns[inside], self.sums[inside], self.counts[inside])

    @property
    def mean(self) -> float:
        """The mean over rows."""
        return float(self.sums.sum() / self.counts.sum())

    @property
    def residual(self) -> NDArray[np.float64]:
        """Each day's sum less what the mean would give. float64 [days]."""
        return self.sums - self.mean * self.counts


@dataclass(frozen=True)
class Shift:
    """A level before and now. p: two-sided, of no change. since_ns: the day from which on it fits best."""

    before: float
    now: float
    days_before: int
    days_now: int
    correlation: float
    p: float
    since_ns: int

    @property
    def change(self) -> float:
        """Now less before."""
        return self.now - self.before

    @property
    def relative(self) -> float:
        """The change as a share of the level before."""
        return self.change / abs(self.before) if self.before else math.copysign(math.inf, self.change)


def compare(before: Daily, now: Daily) -> Shift | None:
    """Whether the level of `now` differs from that of `before`; None with too few days to say.

    A t-test on the ratio estimates of both, with days as clusters. If nothing has changed, the days of now
    stray as those before do, so the spread is that of the days before: they are more, and nothing odd is
    among them.
    """
    if min(len(before), len(now)) < LEAST_DAYS:
        return None
    correlation = _correlation(before)
    inflation = (1 + correlation) / (1 - correlation)
    change, count, residual = now.mean - before.mean, len(before), before.residual
    # Of one day's mean, for days of equally many rows.
    spread = count / (count - 1) * float(residual @ residual) / float(before.counts @ before.counts)
    variance = (
        inflation
        * spread
        * sum(float(part.counts @ part.counts) / float(part.counts.sum()) ** 2 for part in (before, now))
    )
    if variance == 0:
        p = 1.0 if change == 0 else 0.0
    else:
        # Correlated days are worth fewer independent ones.
        freedom = max(count / inflation - 1, 1.0)
        p = 2 * float(stdtr(freedom, -abs(change) / math.sqrt(variance)))
    return Shift(before.mean, now.mean, len(before), len(now), correlation, p, _since_ns(before, now))


def _correlation(days: Daily) -> float:
    """The correlation of a day with the one before, not below 0.

    Short series show less than there is; (n r + 1) / (n - 3) makes up for it (F. H. C. Marriott and
    J. A. Pope, Bias in the estimation of autocorrelations, Biometrika 41, 1954).
    """
    residual = days.residual / np.sqrt(days.counts)
    spread = float(residual @ residual)
    if spread == 0:
        return 0.0
    found = float(residual[1:] @ residual[:-1]) / spread
    count = len(days)
    return min(max((count * found + 1) / (count - 3), 0.0), MOST_CORRELATION)


def _since_ns(before: Daily, now: Daily) -> int:
    """The day of now at which the levels part best, with the running sum of residuals farthest from zero."""
    sums, counts = np.concatenate([before.sums, now.sums]), np.concatenate([before.counts, now.counts])
    running = np.cumsum(sums - sums.sum() / counts.sum() * counts)[len(before) - 1 : -1]
    return int(now.start_ns[int(np.argmax(np.abs(running)))])
