"""The interval on the gain that is shown to a person.

Rows of one day share their weather and their news, so a row is not a unit: whole days are. The gain is a
ratio, all money gained over all decisions taken, and its error is that of the ratio estimator of cluster
sampling with days as clusters (W. G. Cochran, Sampling Techniques, 3rd ed. 1977, chapters 6 and 9A),
with Student's t on one degree of freedom less than there are days.

The interval holds for one look, and is shown beside the e-value that decides (`trainer.betting`), never
instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

if TYPE_CHECKING:
    from collections.abc import Sequence

PER = 1_000
"""Money is given per so many decisions."""


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
    """Money per 1,000 decisions, with two-sided bounds.

    estimate is NaN without decisions; the bounds are infinite where there are too few days for any.
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
    count = len(days)
    decisions = np.array([day.decisions for day in days], np.float64)
    gain = np.array([day.gain for day in days], np.float64)
    total = float(decisions.sum())
    if total == 0:
        return Interval(math.nan, -math.inf, math.inf, confidence, count)
    ratio = float(gain.sum()) / total
    if count < 2:  # noqa: PLR2004 - a spread needs two
        return Interval(PER * ratio, -math.inf, math.inf, confidence, count)
    residual = gain - ratio * decisions
    error = math.sqrt(count / (count - 1) * float(residual @ residual)) / total
    # stdtrit: the inverse of Student's distribution; scipy.stats would take most of a command's start.
    reach = float(stdtrit(count - 1, (1 + confidence) / 2)) * error
    return Interval(PER * ratio, PER * (ratio - reach), PER * (ratio + reach), confidence, count)
