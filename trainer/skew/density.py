"""How likely a value is in a field, from the values that the field had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 32


@dataclass(frozen=True, eq=False)
class Density:
    """A histogram with bins of about equal counts, and tails that fall off slowly beyond it.

    missing: the share of missing values. log_density: of each bin, per unit of the field.
    """

    missing: float
    edges: NDArray[np.float64]
    log_density: NDArray[np.float64]
    log_tail: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Self:
        """Of these values, NaN for missing."""
        present = np.sort(values[~np.isnan(values)])
        missing = (len(values) - len(present) + 0.5) / (len(values) + 1)
        if not len(present):
            return cls(missing, np.array([0.0, 1.0]), np.array([np.log(0.5)]), np.log(0.5))
        distinct = np.unique(present)
        step = float(np.median(np.diff(distinct))) if len(distinct) > 1 else max(abs(distinct[0]), 1.0) * 1e-3
        # Repeated values are spread over the step between values, so that no bin is without width.
        spread = present + step * (np.linspace(0, 1, len(present), endpoint=False) * 7919 % 1 - 0.5)
        edges = np.unique(np.quantile(spread, np.linspace(0, 1, BINS + 1)))
        counts = np.histogram(spread, edges)[0]
        share = (counts + 0.5) / (len(present) + 0.5 * len(counts) + 1)
        # Beyond the bins: the share of half a value, over a width as large as all of them.
        tail = 0.5 / (len(present) + 1) / (edges[-1] - edges[0])
        return cls(missing, edges, np.log(share / np.diff(edges)), float(np.log(tail)))

    def log_likelihood(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log of each value's density; of a missing one, of its share. Far out it falls with the distance."""
        place = np.searchsorted(self.edges, values, side="right") - 1
        inside = (place >= 0) & (place < len(self.log_density))
        found = np.where(inside, self.log_density[np.clip(place, 0, len(self.log_density) - 1)], 0.0)
        width = self.edges[-1] - self.edges[0]
        off = np.maximum(self.edges[0] - values, values - self.edges[-1]) / width
        found = np.where(inside, found, self.log_tail - 2 * np.log1p(np.maximum(off, 0)))
        present = found + np.log1p(-self.missing)
        likelihood: NDArray[np.float64] = np.where(np.isnan(values), np.log(self.missing), present)
        return likelihood
