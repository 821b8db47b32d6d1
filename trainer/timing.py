"""What one row costs: the CPU time of single rows through a loaded pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sidecar.session import Model
    from sidecar.signature import Blocks


@dataclass(frozen=True)
class Timing:
    """Of `rows` single-row runs in this process, microseconds on the thread's CPU clock."""

    rows: int
    cpu_us_p50: float
    cpu_us_p99: float


def time_single_rows(model: Model, blocks: Blocks, rows: int) -> Timing:
    """Run at most `rows` rows, spread evenly over `blocks` (at least one row), one at a time."""
    places = np.linspace(0, len(blocks) - 1, min(rows, len(blocks))).astype(int).tolist()
    cpu_ns = [model.run(blocks.take(slice(place, place + 1))).cpu_ns for place in places]
    p50, p99 = np.quantile(cpu_ns, (0.5, 0.99)) / 1000
    return Timing(len(places), float(p50), float(p99))
