"""Looks at one model's windows in order and remembers what has been strange, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sidecar.drift.comparison import Aspect, Comparer
from sidecar.drift.level import BASELINES, Level, strange
from sidecar.drift.scale import KEPT_NS, SCALES
from sidecar.profile.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sidecar.config import Drift
    from sidecar.drift.scale import Scale
    from sidecar.profile.reference import Reference

TRAINING, CYCLE = range(BASELINES)


@dataclass(frozen=True, eq=False)
class Look:
    """What one window showed. Arrays are [baselines, subjects, aspects]; NaN without a baseline.

    baseline: for TRAINING and CYCLE, the profile compared with, None when there is none. cycle: in words, ""
    without. stability: PSI of each subject against the training rows.
    """

    start_ns: int
    window: Profile
    baseline: tuple[Profile, Profile | None]
    cycle: str
    z: NDArray[np.float64]
    size: NDArray[np.float64]
    stability: NDArray[np.float64]


class _Streaks:
    """Of each (baseline, subject, aspect): how many windows running it has been strange, and whether open."""

    def __init__(self, shape: tuple[int, int, int], level: Level, running: int, plain: int) -> None:
        self._level = level
        self._running = running
        self._closing = plain
        self._recent = np.zeros((running, *shape))  # z of the newest windows, oldest first
        self._side = np.zeros(shape, np.int8)
        self._strange = np.zeros(shape, np.int64)
        self._plain = np.zeros(shape, np.int64)
        self.since_ns = np.zeros(shape, np.int64)
        self.open = np.zeros(shape, bool)

    def take(
        self,
        side: NDArray[np.int8],
        z: NDArray[np.float64],
        compared: NDArray[np.bool_],
        start_ns: int,
    ) -> None:
        """Count a window in; where nothing was compared, nothing changes."""
        self._recent = np.where(compared, np.concatenate([self._recent[1:], z[np.newaxis]]), self._recent)
        together = np.abs(self._recent.sum(axis=0)) / np.sqrt(self._running)
        goes_on = (side != 0) & (side == self._side) & (self._strange > 0)
        begins = compared & (side != 0) & ~goes_on
        ends = compared & (side == 0)
        self._strange = np.where(
            goes_on, self._strange + 1, np.where(begins, 1, np.where(ends, 0, self._strange))
        )
        self._plain = np.where(side != 0, 0, np.where(ends, self._plain + 1, self._plain))
        self._side = np.where(compared, side, self._side)
        self.since_ns = np.where(begins & ~self.open, start_ns, self.since_ns)
        opens = (self._strange >= self._running) & (together >= self._level.together)
        self.open = (self.open & (self._plain < self._closing)) | opens


class _ScaleWatch:
    """One scale's windows of one model."""

    def __init__(self, reference: Reference, comparer: Comparer, settings: Drift, scale: Scale) -> None:
        self._reference = reference
        self._comparer = comparer
        self._settings = settings
        self.scale = scale
        subjects = len(reference.layout.subjects)
        self._shape = (BASELINES, subjects, len(Aspect))
        self._level = Level.of(settings, scale, subjects)
        self._past: dict[int, tuple[Profile, NDArray[np.bool_]]] = {}
        self.streaks = _Streaks(self._shape, self._level, settings.windows_running, scale.plain)
        self.look: Look | None = None

    def take(self, start_ns: int, window: Profile) -> None:
        if window.rows >= self._settings.min_rows:
            self._look(start_ns, window)
        else:
            self._past[start_ns] = window, np.zeros(self._shape[1], bool)
        for old in [at for at in self._past if at < start_ns - KEPT_NS]:
            del self._past[old]

    def _look(self, start_ns: int, window: Profile) -> None:
        z, size = np.full(self._shape, np.nan), np.full(self._shape, np.nan)
        side = np.zeros(self._shape, np.int8)
        compared = np.zeros(self._shape, bool)
        training = self._reference.profile
        cycle, times, name = self._same_hours(start_ns)
        for which, baseline, key, variances in (
            (TRAINING, training, "training", np.ones(self._shape[1])),
            (CYCLE, cycle, name, 1 + 1 / np.maximum(times, 1)),
        ):
            if baseline is None:
                continue
            found = self._comparer.compare(window, baseline)
            excess, worst = self._spread(key)
            usable = found.rows > 0
            z[which] = found.allowing(excess * variances[:, np.newaxis])
            size[which] = found.size
            side[which] = np.where(usable, strange(z[which], size[which], excess, worst, self._level), 0)
            compared[which] = usable
        self.streaks.take(side, np.nan_to_num(z), compared, start_ns)
        # What stands out from its cycle is no measure for the cycles to come.
        far = np.abs(np.nan_to_num(z[CYCLE])) >= self._level.together
        odd = ((side[CYCLE] != 0) & far).any(axis=1) | self.streaks.open[CYCLE].any(axis=1)
        self._past[start_ns] = window, odd
        stability = self._comparer.stability(window, training)
        self.look = Look(start_ns, window, (training, cycle), name, z, size, stability)

    def _spread(self, key: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        spread = self._reference.spread.get((self.scale.name, key))
        if spread is None:
            return np.zeros(self._shape[1:]), np.zeros(self._shape[1:])
        return spread.excess, spread.worst

    def _same_hours(self, start_ns: int) -> tuple[Profile | None, NDArray[np.int64], str]:
        """Earlier windows of the same place in the cycle, added up; and of how many each subject has rows."""
        for name, distance, most in self.scale.cycles:
            if (self.scale.name, name) not in self._reference.spread:
                continue  # how much such windows differ anyway is not known
            times = np.zeros(self._shape[1], np.int64)
            total = Profile.empty(self._reference.layout)
            for cycle in range(1, most + 1):
                if (found := self._past.get(start_ns - cycle * distance)) is not None:
                    window, odd = found
                    total += window.only(self._reference.layout, ~odd)
                    times += ~odd
            if times.any():
                return total, times, name
        return None, np.zeros(self._shape[1], np.int64), ""


class Watch:
    """All scales' windows of one model. Give it every window of the shortest scale, in order of time."""

    def __init__(self, reference: Reference, settings: Drift) -> None:
        self.reference = reference
        comparer = Comparer(reference)
        self.scales = tuple(_ScaleWatch(reference, comparer, settings, scale) for scale in SCALES)
        self._gathering = Profile.empty(reference.layout)
        self._gathering_ns: int | None = None

    def take(self, start_ns: int, window: Profile) -> None:
        """Look at a window of the shortest scale, and at the longer one that ended before it, if one did."""
        first, longer = self.scales
        gathered_ns = longer.scale.start(start_ns)
        if self._gathering_ns is not None and gathered_ns != self._gathering_ns:
            longer.take(self._gathering_ns, self._gathering)
            self._gathering = Profile.empty(self.reference.layout)
        self._gathering_ns = gathered_ns
        self._gathering += window
        first.take(start_ns, window)

    def opened(self) -> Iterator[tuple[_ScaleWatch, Look, tuple[int, int, int]]]:
        """Everything that is open: the scale, its last look, and (baseline, subject, aspect)."""
        for scale in self.scales:
            if scale.look is not None:
                for place in np.argwhere(scale.streaks.open).tolist():
                    baseline, subject, aspect = place
                    yield scale, scale.look, (baseline, subject, aspect)
