"""Looks at one model's windows in order and remembers what has been strange, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sidecar.drift.comparison import Aspect, Comparer
from sidecar.drift.level import BASELINES, Level, strange
from sidecar.drift.scale import DAY, IN_PLACE_OF_DAYS, KEPT_NS, KEPT_OF_WEEKS_NS, LEAST_ROWS, SCALES
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

    scale: how long the window is. baseline: for TRAINING and CYCLE, the profile compared with, None when
    there is none. cycle: in words, "" without. stability: PSI of each subject against the training rows.
    plain: where something was compared and not strange.
    """

    scale: Scale
    start_ns: int
    window: Profile
    baseline: tuple[Profile, Profile | None]
    cycle: str
    z: NDArray[np.float64]
    size: NDArray[np.float64]
    stability: NDArray[np.float64]
    plain: NDArray[np.bool_]

    @property
    def end_ns(self) -> int:
        """Where the window ends."""
        return self.start_ns + self.scale.length_ns


class _Streaks:
    """Of each (baseline, subject, aspect): how many windows running it has been strange, and whether open."""

    def __init__(self, shape: tuple[int, int, int], running: int, plain: int) -> None:
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
        *,
        together: float,
        plain: int,
    ) -> None:
        """Count a window in; where nothing was compared, nothing changes.

        together: the z that windows running need. plain: as how many plain windows it counts.
        """
        self._recent = np.where(compared, np.concatenate([self._recent[1:], z[np.newaxis]]), self._recent)
        stacked = np.abs(self._recent.sum(axis=0)) / np.sqrt(self._running)
        goes_on = (side != 0) & (side == self._side) & (self._strange > 0)
        begins = compared & (side != 0) & ~goes_on
        ends = compared & (side == 0)
        self._strange = np.where(
            goes_on, self._strange + 1, np.where(begins, 1, np.where(ends, 0, self._strange))
        )
        self._plain = np.where(side != 0, 0, np.where(ends, self._plain + plain, self._plain))
        self._side = np.where(compared, side, self._side)
        self.since_ns = np.where(begins & ~self.open, start_ns, self.since_ns)
        opens = (self._strange >= self._running) & (stacked >= together)
        self.open = (self.open & (self._plain < self._closing)) | opens

    def stand_in(self, plain: NDArray[np.bool_]) -> None:
        """Where a longer window is plain in which none was looked at, take its word; two of them close."""
        self._strange = np.where(plain, 0, self._strange)
        self._plain = np.where(plain, self._plain + -(-self._closing // 2), self._plain)
        self.open &= self._plain < self._closing


class _ScaleWatch:
    """One scale's windows of one model; those of days, and of weeks that are looked at in their place."""

    def __init__(self, reference: Reference, comparer: Comparer, settings: Drift, scale: Scale) -> None:
        self._reference = reference
        self._comparer = comparer
        self._settings = settings
        self.scale = scale
        subjects = len(reference.layout.subjects)
        self._shape = (BASELINES, subjects, len(Aspect))
        self._in_place: tuple[Scale, ...] = IN_PLACE_OF_DAYS if scale is DAY else ()
        self._levels = {each.name: Level.of(settings, each, subjects) for each in (scale, *self._in_place)}
        self._kept_ns = KEPT_OF_WEEKS_NS if self._in_place else KEPT_NS
        self._past: dict[int, tuple[Profile, NDArray[np.bool_]]] = {}
        self.streaks = _Streaks(self._shape, settings.windows_running, scale.plain)
        self.look: Look | None = None

    def take(self, start_ns: int, window: Profile) -> None:
        odd = np.zeros(self._shape[1], bool)
        if window.rows >= self._settings.min_rows:
            odd = self._look(self.scale, start_ns, window)
        self._past[start_ns] = window, odd
        for old in [at for at in self._past if at < start_ns - self._kept_ns]:
            del self._past[old]

    def put_together(self, newest_ns: int, now_ns: int) -> None:
        """Look at what has ended between the newest window and now, if nothing in it was looked at."""
        for scale in self._in_place:
            start_ns = scale.start(newest_ns)
            looked_at = self.look is not None and self.look.start_ns >= start_ns
            if looked_at or scale.start(now_ns) == start_ns:
                continue
            parts = [at for at in self._past if at >= start_ns]
            window = sum((self._past[at][0] for at in parts), Profile.empty(self._reference.layout))
            last = scale is self._in_place[-1]
            least = min(LEAST_ROWS, self._settings.min_rows) if last else self._settings.min_rows
            if window.rows >= least:
                odd = self._look(scale, start_ns, window)
                self._past |= {at: (self._past[at][0], odd) for at in parts}

    def _look(self, scale: Scale, start_ns: int, window: Profile) -> NDArray[np.bool_]:
        """Look at a window; gives of each subject whether it stands out from its cycle."""
        z, size = np.full(self._shape, np.nan), np.full(self._shape, np.nan)
        side = np.zeros(self._shape, np.int8)
        compared = np.zeros(self._shape, bool)
        training, level = self._reference.profile, self._levels[scale.name]
        cycle, times, name = self._same_hours(scale, start_ns)
        for which, baseline, key, variances in (
            (TRAINING, training, "training", np.ones(self._shape[1])),
            (CYCLE, cycle, name, 1 + 1 / np.maximum(times, 1)),
        ):
            if baseline is None:
                continue
            found = self._comparer.compare(window, baseline)
            excess, worst = self._spread(scale, key)
            usable = found.rows > 0
            z[which] = found.allowing(excess * variances[:, np.newaxis])
            size[which] = found.size
            side[which] = np.where(usable, strange(z[which], size[which], excess, worst, level), 0)
            compared[which] = usable
        if scale is not self.scale:
            # Of four weeks hardly anything is left once what stands out is. Then it is how things are now.
            compared[CYCLE] = True
        self.streaks.take(
            side,
            np.nan_to_num(z),
            compared,
            start_ns,
            together=level.together,
            plain=-(-self.scale.plain // scale.plain),
        )
        stability = self._comparer.stability(window, training)
        plain = compared & (side == 0)
        self.look = Look(scale, start_ns, window, (training, cycle), name, z, size, stability, plain)
        # What stands out from its cycle is no measure for the cycles to come.
        far = np.abs(np.nan_to_num(z[CYCLE])) >= level.together
        odd: NDArray[np.bool_] = ((side[CYCLE] != 0) & far).any(axis=1) | self.streaks.open[CYCLE].any(axis=1)
        return odd

    def _spread(self, scale: Scale, key: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        spread = self._reference.spread_for(scale.spreads, key)
        if spread is None:
            return np.zeros(self._shape[1:]), np.zeros(self._shape[1:])
        return spread.excess, spread.worst

    def _same_hours(self, scale: Scale, start_ns: int) -> tuple[Profile | None, NDArray[np.int64], str]:
        """Earlier windows of the same place in the cycle, added up; and of how many each subject has rows."""
        for name, distance, most in scale.cycles:
            if self._reference.spread_for(scale.spreads, name) is None:
                continue  # how much such windows differ anyway is not known
            times = np.zeros(self._shape[1], np.int64)
            total = Profile.empty(self._reference.layout)
            for cycle in range(1, most + 1):
                begin = start_ns - cycle * distance
                counted = np.zeros(self._shape[1], bool)
                for at in range(begin, begin + min(scale.length_ns, distance), self.scale.length_ns):
                    if (found := self._past.get(at)) is not None:
                        window, odd = found
                        total += window.only(self._reference.layout, ~odd)
                        counted |= ~odd
                times += counted
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
        """Look at a window of the shortest scale, and at the longer ones that ended before it."""
        first, longer = self.scales
        gathered_ns = longer.scale.start(start_ns)
        if self._gathering_ns is not None and gathered_ns != self._gathering_ns:
            self._end_day(self._gathering_ns, start_ns)
            self._gathering = Profile.empty(self.reference.layout)
        self._gathering_ns = gathered_ns
        self._gathering += window
        first.take(start_ns, window)

    def _end_day(self, start_ns: int, now_ns: int) -> None:
        first, longer = self.scales
        before = longer.look
        longer.take(start_ns, self._gathering)
        longer.put_together(start_ns, now_ns)
        look = longer.look
        if look is None or look is before:
            return
        if first.look is None or first.look.start_ns < look.start_ns:
            first.streaks.stand_in(look.plain)

    def opened(self) -> Iterator[tuple[_ScaleWatch, Look, tuple[int, int, int]]]:
        """Everything that is open: the scale, its last look, and (baseline, subject, aspect)."""
        for scale in self.scales:
            if scale.look is not None:
                for place in np.argwhere(scale.streaks.open).tolist():
                    baseline, subject, aspect = place
                    yield scale, scale.look, (baseline, subject, aspect)

    @property
    def newest_look(self) -> Look | None:
        """The one whose window ended last, and of those the shortest."""
        looks = [scale.look for scale in self.scales if scale.look is not None]
        return max(looks, key=lambda look: look.end_ns, default=None)
