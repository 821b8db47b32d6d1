"""Which values are known, and what it says when a value is not.

Many fields take few values: temperatures in steps of a tenth of a degree, wind in whole knots, a lookup that
all rows of an hour share. A mistake throws such values off their steps; undoing it puts them back. That holds
in every season, where the place of the values says little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_RATE = 0.02
"""No share is trusted to be nearer to 0 or 1."""
_TOLERANCE = 4e-6  # of a value: what a float32 and the arithmetic of a caller leave of it


@dataclass(frozen=True, eq=False)
class Steps:
    """The values that a field of right rows takes.

    distinct: ascending, NaN for missing last; row: int64, which of them a row has. elsewhere: bool, whether a
    value occurs in more than one block. usual: the share of present values that do.
    """

    distinct: NDArray[np.float64]
    row: NDArray[np.int64]
    elsewhere: NDArray[np.bool_]
    usual: float

    @classmethod
    def of(cls, values: NDArray[np.float64], block: NDArray[np.int64]) -> Self:
        """Of these values, each in a block."""
        distinct, row, counts = np.unique(values, return_inverse=True, return_counts=True)
        blocks = int(block.max()) + 1
        pairs = np.unique(row * blocks + block)
        elsewhere = (np.bincount(pairs // blocks) > 1) & ~np.isnan(distinct)
        present = int(counts[~np.isnan(distinct)].sum())
        usual = float(counts[elsewhere].sum() / max(present, 1))
        return cls(distinct, row, elsewhere, float(np.clip(usual, LEAST_RATE, 1 - LEAST_RATE)))


def known(values: NDArray[np.float64], distinct: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each value is one of `distinct` (ascending), within float32. NaN is not."""
    if not len(distinct):
        return np.zeros(len(values), bool)
    place = np.searchsorted(distinct, values)
    below = distinct[np.maximum(place - 1, 0)]
    above = distinct[np.minimum(place, len(distinct) - 1)]
    off = np.fmin(np.abs(values - below), np.abs(above - values))
    return np.asarray(off <= _TOLERANCE * np.maximum(np.abs(values), 1.0))


def membership_evidence(
    then: NDArray[np.bool_], now: NDArray[np.bool_], usual: float, chance: float
) -> NDArray[np.float64]:
    """Log-likelihood ratio of "late" against "in time", from whether a value was there then, and is now.

    usual: the share of values in time that are there now; chance: of them that were there then all the same.
    """
    usual, chance = (float(np.clip(rate, LEAST_RATE, 1 - LEAST_RATE)) for rate in (usual, chance))
    found = np.where(then, np.log(usual / chance), np.log((1 - usual) / (1 - chance)))
    lost = np.where(now, np.log(chance / usual), np.log((1 - chance) / (1 - usual)))
    return np.asarray(found + lost)
