"""The interval on the gain that is shown to a person.

Rows of one day share their weather and their news, so a row is not a unit: whole days are. A mean over rows
is a ratio, such as all money gained over all decisions taken, and its error is that of the ratio estimator of
cluster sampling with days as clusters (W. G. Cochran, Sampling Techniques, 3rd ed. 1977, chapters 6 and 9A),
with Student's t on one degree of freedom less than there are days.

The interval holds for one look, and is shown beside the e-value that decides (`trainer.betting`), never
instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr, stdtrit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

PER = 1_000
"""Money is given per so many decisions."""


def percent(share: float) -> str:
    """A declared share with all its digits.

    >>> percent(0.95), percent(0.025)
    ('95%', '2.5%')
    """
    return f"{100 * share:g}%"


@dataclass(frozen=True, slots=True)
class Day:
    """A unit of evidence: one whole UTC day of rows that champion and candidate both decided.

    day: ISO date. decisions: rows. changed: rows on which the two decided differently. champion, candidate:
    the money that each one's decisions earned. gain: candidate's less champion's, summed row by row.
    """

    day: str
    decisions: int
    changed: int
    champion: float
    candidate: float
    gain: float


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with two-sided bounds; of money, per 1,000 decisions.

    estimate is NaN without rows; the bounds are infinite where there are too few days for any.
    """

    estimate: float
    lower: float
    upper: float
    confidence: float
    days: int

    def __str__(self) -> str:
        if math.isnan(self.estimate):
            return "-"
        return f"{self.estimate:+,.0f} [{self.lower:+,.0f}; {self.upper:+,.0f}]"

    @property
    def standard_error(self) -> float:
        """The estimate's standard error; infinite where the bounds are."""
        reach = (self.upper - self.lower) / 2
        if not math.isfinite(reach):
            return math.inf
        return reach / float(stdtrit(self.days - 1, (1 + self.confidence) / 2))


def gain_interval(days: Sequence[Day], confidence: float) -> Interval:
    """The candidate's gain over the champion per 1,000 decisions.

    Three days of 100 decisions each, which gained 10, 20 and 30:

    >>> days = [Day(f"2024-01-0{i}", 100, 5, 0.0, 10.0 * i, 10.0 * i) for i in (1, 2, 3)]
    >>> print(gain_interval(days, 0.95))
    +200 [-48; +448]

    That is 200 +- 4.303 * 100 / sqrt(3). One day has no spread to judge by:

    >>> print(gain_interval(days[:1], 0.95))
    +100 [-inf; +inf]

    Days that all gained the same per decision have no spread, and the bounds meet:

    >>> print(gain_interval([days[0], days[0]], 0.95))
    +100 [+100; +100]
    """
    return ratio_interval([day.gain for day in days], [day.decisions for day in days], confidence, per=PER)


def ratio_interval(sums: ArrayLike, counts: ArrayLike, confidence: float, *, per: float = 1.0) -> Interval:
    """Give `per` times the sum of `sums` over the sum of `counts`, both one for each day."""
    amount, rows = np.asarray(sums, np.float64), np.asarray(counts, np.float64)
    total = float(rows.sum())
    if total == 0:
        return Interval(math.nan, -math.inf, math.inf, confidence, len(rows))
    ratio = float(amount.sum()) / total
    return linear_interval(per * ratio, per * (amount - ratio * rows) / total, confidence)


def linear_interval(estimate: float, influence: NDArray[np.float64], confidence: float) -> Interval:
    """Bounds of an estimate whose error is, to first order, a sum over days.

    influence: float64 [days], what each day adds to the estimate's error; they sum to zero.
    """
    days = len(influence)
    if days < 2:  # noqa: PLR2004 - a spread needs two
        return Interval(estimate, -math.inf, math.inf, confidence, days)
    error = math.sqrt(days / (days - 1) * float(influence @ influence))
    # stdtrit: the inverse of Student's distribution; scipy.stats would take most of a command's start.
    reach = float(stdtrit(days - 1, (1 + confidence) / 2)) * error
    return Interval(estimate, estimate - reach, estimate + reach, confidence, days)


def p_of_zero(interval: Interval) -> float:
    """The two-sided p-value of zero: 1 less the confidence at which a bound would just touch it.

    >>> round(p_of_zero(gain_interval([Day("", 100, 5, 0.0, 10.0 * i, 10.0 * i) for i in (1, 2, 3)], 0.5)), 3)
    0.074
    """
    error = interval.standard_error
    if not math.isfinite(error) or math.isnan(interval.estimate):
        return 1.0
    if error == 0:
        return 1.0 if interval.estimate == 0 else 0.0
    return 2 * float(stdtr(interval.days - 1, -abs(interval.estimate / error)))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for being several, so that each may be compared with the level for all.

    S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = least
    return adjusted
