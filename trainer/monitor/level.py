"""Whether a daily share or a daily sum of money has left its earlier level. Pure.

Days are the units, and neighbouring days resemble each other, so the error of a mean over n days is larger
than its spread says: by (1 + r) / (1 - r) in the variance, r being the correlation of a day with the one
before (effective sample size of an AR(1) series; D. S. Wilks, Statistical Methods in the Atmospheric
Sciences, ch. 5). A day's own rows stray as well, which is nearly all that a day of few rows shows; so the
variance of a day's sum has a part that grows with its rows, and one with their square (as in a random-effects
model of one factor; S. R. Searle, G. Casella and C. E. McCulloch, Variance Components, ch. 3).
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
    """Sums over the rows of each UTC day that has some. start_ns: int64 [days], in order.

    sums: of weight times value. counts, squares: of the weights and of their squares; the number of rows
    where each stands for itself. within: of weight times the squared distance from the day's mean.
    """

    start_ns: NDArray[np.int64]
    sums: NDArray[np.float64]
    counts: NDArray[np.float64]
    squares: NDArray[np.float64]
    within: NDArray[np.float64]

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

        def summed(of: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.bincount(place, weights=of, minlength=len(days)).astype(np.float64)

        sums, counts = summed(each * values), summed(each)
        apart = values - (sums / counts)[place]
        return cls(days * DAY_NS, sums, counts, summed(each**2), summed(each * apart**2))

    def between(self, since_ns: int, until_ns: int) -> Daily:
        """The days that begin in [since_ns, until_ns)."""
        inside = (self.start_ns >= since_ns) & (self.start_ns < until_ns)
        return Daily(
            self.start_ns[inside],
            self.sums[inside],
            self.counts[inside],
            self.squares[inside],
            self.within[inside],
        )

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
    change, spread = now.mean - before.mean, _Spread.of(before)
    variance = inflation * (spread.of_mean(before) + spread.of_mean(now))
    if variance == 0:
        p = 1.0 if change == 0 else 0.0
    else:
        # Correlated days are worth fewer independent ones.
        freedom = max(len(before) / inflation - 1, 1.0)
        p = 2 * float(stdtr(freedom, -abs(change) / math.sqrt(variance)))
    return Shift(before.mean, now.mean, len(before), len(now), correlation, p, _since_ns(before, now))


@dataclass(frozen=True)
class _Spread:
    """The variance of a row within its day, and that of the days' own levels."""

    rows: float
    days: float

    @classmethod
    def of(cls, days: Daily) -> _Spread:
        freedom = float((days.counts - days.squares / days.counts).sum())
        rows = float(days.within.sum()) / freedom if freedom > 0 else 0.0
        total = len(days) / (len(days) - 1) * float(days.residual @ days.residual)
        between = total - rows * float(days.squares.sum())
        return cls(rows, max(between, 0.0) / float(days.counts @ days.counts))

    def of_mean(self, days: Daily) -> float:
        """The variance of the mean over the rows of days that do not resemble each other."""
        of_sum = self.rows * float(days.squares.sum()) + self.days * float(days.counts @ days.counts)
        return of_sum / float(days.counts.sum()) ** 2


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
