"""Medians of rounds, ratios of the same round, and a straight line through samples."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Summary:
    """What rounds gave: their median, the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, rounds: Sequence[float]) -> Summary:
        """Summarise one number for each round; raises ValueError when there are none."""
        if not rounds:
            raise ValueError("no rounds to summarise")
        return cls(median(rounds), min(rounds), max(rounds))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Summary:
    """Divide round by round, so that what slowed a whole round slows both sides of its ratio."""
    return Summary.of([mine / other for mine, other in zip(ours, theirs, strict=True)])


@dataclass(frozen=True, slots=True)
class Line:
    """The least-squares line through samples, and the standard error of its slope."""

    slope: float
    intercept: float
    slope_error: float

    @classmethod
    def through(cls, at: Sequence[float], values: Sequence[float]) -> Line:
        """Fit values at points; three or more of them, not all at one place.

        >>> Line.through([0, 1, 2, 3], [5, 7, 9, 11])
        Line(slope=2.0, intercept=5.0, slope_error=0.0)
        """
        x, y = np.asarray(at, float), np.asarray(values, float)
        if len(x) < 3 or np.ptp(x) == 0:  # noqa: PLR2004 - two points leave no error to estimate
            raise ValueError("a line needs three samples or more, at different places")
        centred = x - x.mean()
        spread = float(centred @ centred)
        slope = float(centred @ (y - y.mean())) / spread
        intercept = float(y.mean() - slope * x.mean())
        residuals = y - intercept - slope * x
        error = float(np.sqrt(residuals @ residuals / (len(x) - 2) / spread))
        return cls(slope, intercept, error)
