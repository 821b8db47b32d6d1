"""How much the windows of the training rows differ among themselves: what drift must not be alarmed by.

Weather is the same for every flight of an hour, and Sundays are not Mondays. A test that takes rows for
independent finds each hour strange. So the windows of the training rows are compared as live ones will be,
and what they vary beyond chance is kept in the reference.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sidecar.drift.comparison import Aspect, Comparer
from sidecar.drift.scale import SCALES
from sidecar.profile.reference import Reference, Spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from sidecar.drift.comparison import Comparison
    from sidecar.drift.scale import Scale
    from sidecar.profile.profile import Profile

LEAST_WINDOWS = 8
"""Of fewer comparisons nothing is said."""
LEAST_ROWS = 20
"""Windows with fewer rows are left out."""
_CERTAIN = 3.0
"""Standard errors, under chance alone, by which the spread must exceed chance to be believed."""


def spread_of(
    reference: Reference, windows: Mapping[int, Profile], scales: Sequence[Scale] = SCALES
) -> dict[tuple[str, str], Spread]:
    """The spread of windows of the shortest scale, by start, for each scale and baseline with enough."""
    comparer = Comparer(reference)
    compared = {}
    for scale in scales:
        grouped = _grouped(windows, scale)
        compared[scale.name, "training"] = list(_with_the_others(comparer, reference, grouped))
        for name, distance, most in scale.cycles:
            compared[scale.name, name] = list(_with_earlier(comparer, grouped, distance, most))
    return {key: _estimate(pairs) for key, pairs in compared.items() if len(pairs) >= LEAST_WINDOWS}


def _grouped(windows: Mapping[int, Profile], scale: Scale) -> dict[int, Profile]:
    grouped: dict[int, Profile] = {}
    for start, window in sorted(windows.items()):
        at = scale.start(start)
        grouped[at] = grouped[at] + window if at in grouped else window
    return {at: window for at, window in grouped.items() if window.rows >= LEAST_ROWS}


def _with_the_others(
    comparer: Comparer, reference: Reference, windows: Mapping[int, Profile]
) -> Iterator[tuple[Comparison, float]]:
    """Each window and all training rows but its own."""
    everything = reference.profile
    for window in windows.values():
        others = replace(
            everything,
            counts=np.maximum(everything.counts - window.counts, 0),
            whole=np.maximum(everything.whole - window.whole, 0),
        )
        yield comparer.compare(window, others), 1.0


def _with_earlier(
    comparer: Comparer, windows: Mapping[int, Profile], distance: int, most: int
) -> Iterator[tuple[Comparison, float]]:
    """Each window and the same hours of the cycles before it. The baseline of `times` windows varies too."""
    for start, window in windows.items():
        earlier = [windows[at] for cycle in range(1, most + 1) if (at := start - cycle * distance) in windows]
        if earlier:
            total = earlier[0]
            for more in earlier[1:]:
                total += more
            yield comparer.compare(window, total), 1 + 1 / len(earlier)


def _estimate(pairs: Sequence[tuple[Comparison, float]]) -> Spread:
    """Solve mean(z^2) = 1 + variance * rows for the variance, where it is beyond doubt; else it is 0."""
    squares = np.stack([_squares(found) for found, _ in pairs])
    rows = np.stack([found.rows * times for found, times in pairs])
    known = rows > 0
    windows = np.maximum(known.sum(axis=0), 1)
    beyond = np.where(known, squares - 1, 0.0)
    mean = beyond.sum(axis=0) / windows
    chance = np.where(known, np.stack([_variance(found) for found, _ in pairs]), 0.0)
    error = np.sqrt(chance.sum(axis=0)) / windows
    certain = (mean > _CERTAIN * error) & (windows >= LEAST_WINDOWS)
    excess = np.where(certain, beyond.sum(axis=0) / np.maximum(rows.sum(axis=0), 1e-300), 0.0)
    strangest = np.max([np.abs(found.allowing(excess * times)) for found, times in pairs], axis=0)
    return Spread(excess, np.where(certain, strangest, 0.0))


def _squares(found: Comparison) -> NDArray[np.float64]:
    squares = found.z**2
    squares[:, Aspect.SHAPE] = found.chi_square / np.maximum(found.freedom, 1)
    return squares


def _variance(found: Comparison) -> NDArray[np.float64]:
    """How much `_squares` vary by chance alone."""
    variance = np.full(found.z.shape, 2.0)
    variance[:, Aspect.SHAPE] = 2.0 / np.maximum(found.freedom, 1)
    return variance
