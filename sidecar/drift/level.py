"""How strange windows must be: from false alarms a day to a z for one test.

Everything that is tested at one look shares the alarms that are allowed, equally (Bonferroni), so the rate
holds however the fields hang together. A finding opens when windows running are strange in the same way: each
of them somewhat, all of them together (Stouffer's sum) by the level of one test at one look. Where training's
own windows vary beyond chance, one that stands out is likely to be followed by another, so their sum says
little: there each window must reach that level, and be half as strange again as the strangest that training
had, since a few weeks have not seen everything.
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
SOMEWHAT = 2.0
"""The z of a window that is somewhat strange: one in twenty is by chance."""
MARGIN = 1.5
"""Times the z of the strangest training window, where those vary beyond chance."""
LEAST_SIZE = np.array([0.05, 0.005, 0.01, 0.005, 0.1])
"""By aspect, below which a difference is no finding, however certain it is. SHIFT in standard deviations,
SHAPE in PSI, MISSING, OUTSIDE and WHOLE as shares of the rows."""


@dataclass(frozen=True)
class Level:
    """each: the z that every one of several windows needs. together: what all of them need."""

    each: float
    together: float

    @classmethod
    def of(cls, settings: Drift, scale: Scale, subjects: int) -> Level:
        """The level of one test among those of a look."""
        tests = subjects * BASELINES * len(Aspect)
        allowed = settings.false_alarms_per_day * scale.alarms / scale.looks_per_day / tests
        together = normal_z(min(allowed, 1.0) / 2)  # either side
        return cls(min(SOMEWHAT, together), together)


def strange(
    z: NDArray[np.float64],
    size: NDArray[np.float64],
    excess: NDArray[np.float64],
    worst: NDArray[np.float64],
    level: Level,
) -> NDArray[np.int8]:
    """1 where a window lies strangely high, -1 where low, 0 elsewhere; all [subjects, aspects].

    z: allowing for `excess`, the variance between windows. worst: z of the strangest training window.
    """
    needed = np.where(excess > 0, np.maximum(level.together, MARGIN * worst), level.each)
    found = (np.abs(size) >= LEAST_SIZE) & (np.abs(z) >= needed)
    found[:, Aspect.SHAPE] &= (size[:, Aspect.SHAPE] > 0) & (z[:, Aspect.SHAPE] > 0)
    return (np.sign(z) * found).astype(np.int8)
