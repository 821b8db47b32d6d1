"""How strange a window must be: from false alarms a day to a z for one test.

Everything that is tested at one look shares the alarms that are allowed, equally (Bonferroni), so the rate
holds however the fields hang together. A finding opens when windows running are strange in the same way.
Windows that vary by chance alone are independent, so each needs only the root of the level. Where training's
own windows vary beyond chance, one that stands out is likely to be followed by another: there every single
window must reach the level of one look, and be stranger than the strangest that training had.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sidecar.drift.comparison import Aspect
from sidecar.drift.tails import normal_z

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.config import Drift
    from sidecar.drift.scale import Scale

BASELINES = 2
"""Training, and the same hours of earlier cycles."""
LEAST_SIZE = np.array([0.05, 0.005, 0.01, 0.005, 0.1])
"""By aspect, below which a difference is no finding, however certain it is. SHIFT in standard deviations,
SHAPE in PSI, MISSING, OUTSIDE and WHOLE as shares of the rows."""


@dataclass(frozen=True)
class Level:
    """apart: the z for one of several windows that are independent. alone: for a window by itself."""

    apart: float
    alone: float

    @classmethod
    def of(cls, settings: Drift, scale: Scale, subjects: int) -> Level:
        """The level of one test among those of a look."""
        tests = subjects * BASELINES * len(Aspect)
        allowed = settings.false_alarms_per_day * scale.alarms / scale.looks_per_day / tests
        one_side = min(allowed, 1.0) / 2
        return cls(normal_z(one_side ** (1 / settings.windows_running)), normal_z(one_side))


def flagged(
    z: NDArray[np.float64],
    size: NDArray[np.float64],
    excess: NDArray[np.float64],
    worst: NDArray[np.float64],
    level: Level,
) -> NDArray[np.int8]:
    """1 where a window lies strangely high, -1 where low, 0 elsewhere; all [subjects, aspects].

    z: allowing for `excess`, the variance between windows. worst: z of the strangest training window.
    """
    needed = np.where(excess > 0, np.maximum(level.alone, worst), level.apart)
    large = (np.abs(size) >= LEAST_SIZE) & (np.abs(z) >= needed)
    large[:, Aspect.SHAPE] = (size[:, Aspect.SHAPE] >= LEAST_SIZE[Aspect.SHAPE]) & (
        z[:, Aspect.SHAPE] >= needed[:, Aspect.SHAPE]
    )
    return (np.sign(z) * large).astype(np.int8)
