"""Whether the rows that have a label stand for those that have none.

Labels that come sooner, or only for some rows, have promoted candidates that are no better. So the champion's
scores of matured rows with and without a label are compared before anything is concluded from the former.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_REACH = 1.6276
"""Of Kolmogorov and Smirnov: a larger distance comes about by chance once in a hundred."""


@dataclass(frozen=True, slots=True)
class Representation:
    """Matured rows with a label beside those without.

    distance: of Kolmogorov and Smirnov, between the champion's scores of the two. by_chance: what the
    distance may be by chance, one time in a hundred. changed, missing_changed: share of rows on which the
    candidate decided differently, among rows with and without a label.
    """

    labelled: int
    missing: int
    distance: float
    by_chance: float
    changed: float
    missing_changed: float


def compare(
    score: NDArray[np.float32], changed: NDArray[np.bool_], labelled: NDArray[np.bool_]
) -> Representation | None:
    """Compare matured rows with and without a label; None when one of the two kinds is absent.

    score: float32 [n], the champion's; changed, labelled: bool [n].
    """
    count = len(score)
    known = int(np.count_nonzero(labelled))
    if known in (0, count):
        return None
    with_label, without = np.sort(score[labelled]), np.sort(score[~labelled])
    at = np.concatenate([with_label, without])
    below = np.searchsorted(with_label, at, side="right") / known
    below_missing = np.searchsorted(without, at, side="right") / (count - known)
    return Representation(
        labelled=known,
        missing=count - known,
        distance=float(np.abs(below - below_missing).max()),
        by_chance=_REACH * math.sqrt(count / (known * (count - known))),
        changed=float(changed[labelled].mean()),
        missing_changed=float(changed[~labelled].mean()),
    )
