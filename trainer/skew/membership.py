"""Which values are known, and what it says when a value is not.

Many fields take few values: temperatures in steps of a tenth of a degree, wind in whole knots, a lookup that
all rows of an hour share. A mistake throws such values off their steps; undoing it puts them back. That holds
in every season, where the place of the values says little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_RATE = 0.02
"""No share is trusted to be nearer to 0 or 1."""
_TOLERANCE = 4e-6  # of a value: what a float32 and the arithmetic of a caller leave of it


def known(values: NDArray[np.float64], distinct: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each value is one of `distinct` (ascending), within float32. NaN is not."""
    if not len(distinct):
        return np.zeros(len(values), bool)
    place = np.searchsorted(distinct, values)
    below = distinct[np.maximum(place - 1, 0)]
    above = distinct[np.minimum(place, len(distinct) - 1)]
    off = np.minimum(np.abs(values - below), np.abs(above - values))
    return off <= _TOLERANCE * np.maximum(np.abs(values), 1.0)


def membership_evidence(
    undone: NDArray[np.bool_], as_is: NDArray[np.bool_], usual: float, chance: float, chance_as_is: float
) -> NDArray[np.float64]:
    """Log-likelihood ratio of a mistake against none, from which values are known undone, and as they are.

    usual: the share of right values that are known. chance: of right values that are known after undoing a
    mistake that was not made; chance_as_is: of wrong values that are known all the same.
    """
    usual, chance, chance_as_is = (
        float(np.clip(rate, LEAST_RATE, 1 - LEAST_RATE)) for rate in (usual, chance, chance_as_is)
    )
    found = np.where(undone, np.log(usual / chance), np.log((1 - usual) / (1 - chance)))
    lost = np.where(as_is, np.log(chance_as_is / usual), np.log((1 - chance_as_is) / (1 - usual)))
    return np.asarray(found + lost)
