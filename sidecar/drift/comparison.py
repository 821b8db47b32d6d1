"""Compares a window's profile with a baseline's, subject by subject, in five aspects. No judgement yet.

shift: whether values lie higher or lower, by normal scores of the reference's bins. For no distribution is
this test less powerful than the t-test (Chernoff and Savage, 1958), it needs nothing but counts, and one wild
value moves it little.
shape: whether bins or categories are filled otherwise, by chi-square; cells that expect under five rows are
taken together.
missing, outside (below, above, or an unseen category), whole (numbers without a fraction): whether their
share has changed, by two proportions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.drift.tails import chi_square_z, share_z

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.profile.profile import Profile
    from sidecar.profile.reference import Reference

_LEAST_EXPECTED = 5.0
_ROUNDING = 1e-9
"""A variance that is a smaller part of the mean square is none: all values lie in one bin."""
_INTEGRAL = frozenset({"i"})


class Aspect(IntEnum):
    """What is compared; the column of the arrays below."""

    SHIFT = 0
    SHAPE = 1
    MISSING = 2
    OUTSIDE = 3
    WHOLE = 4


@dataclass(frozen=True, eq=False)
class Comparison:
    """How a window differs from a baseline; arrays are [subjects, aspects] unless they say otherwise.

    z: how strange that is by chance alone, and in which direction; 0 where there is nothing to compare. Of
    SHAPE it is the z of `chi_square`, [subjects], with `freedom`, [subjects].
    size: SHIFT in standard deviations, SHAPE as PSI less what chance gives, the others as a share.
    rows: as many as would give the same error if the baseline had none: 1 / (1 / window + 1 / baseline).
    """

    z: NDArray[np.float64]
    chi_square: NDArray[np.float64]
    freedom: NDArray[np.float64]
    size: NDArray[np.float64]
    rows: NDArray[np.float64]

    def allowing(self, variance: NDArray[np.float64]) -> NDArray[np.float64]:
        """The z that is left when windows also differ among themselves by this variance, [subjects, aspects].

        variance: in units of the variance of one row. Each statistic is divided by how much it grows by that,
        as Rao and Scott (1981) do for rows that come in clusters.
        """
        growth = 1.0 + variance * self.rows
        z = self.z / np.sqrt(growth)
        z[:, Aspect.SHAPE] = chi_square_z(self.chi_square / growth[:, Aspect.SHAPE], self.freedom)
        return z


class Comparer:
    """Compares profiles of one reference's layout."""

    def __init__(self, reference: Reference) -> None:
        self._layout = layout = reference.layout
        self._starts = layout.starts
        self._owner = layout.owner
        self._present = ~layout.missing
        # An unseen category is no bin; below and above are bins in which training has nothing.
        self._bins = self._present & ~(layout.outside & ~layout.numeric[layout.owner])
        self._fractions = layout.numeric & np.array(
            [
                getattr(subject, "bounds", np.zeros(1, np.int64)).dtype.kind not in _INTEGRAL
                for subject in layout.subjects
            ]
        )
        self._ordered = layout.numeric.copy()
        self._ordered[-1] = True  # the decision: pass, then act
        counts = reference.profile.counts * self._present
        self._scores = _normal_scores(counts, self._sum(counts), self._starts, self._owner)

    def compare(self, window: Profile, baseline: Profile) -> Comparison:
        """Compare; either may be of no rows."""
        size = np.zeros((len(self._starts), len(Aspect)))
        rows, z = np.zeros_like(size), np.zeros_like(size)
        self._shift(window, baseline, z, size, rows)
        chi_square, freedom = self._shape(window, baseline, z, size, rows)
        layout, all_rows = self._layout, (self._sum(window.counts), self._sum(baseline.counts))
        present = (self._sum(window.counts * self._present), self._sum(baseline.counts * self._present))
        for aspect, events, of in (
            (Aspect.MISSING, self._both(layout.missing, window, baseline), all_rows),
            (Aspect.OUTSIDE, self._both(layout.outside, window, baseline), present),
            (Aspect.WHOLE, (window.whole * self._fractions, baseline.whole * self._fractions), present),
        ):
            rows[:, aspect] = _joint(*of)
            size[:, aspect] = _share(events[0], of[0]) - _share(events[1], of[1])
            z[:, aspect] = share_z(events[0], of[0], events[1], of[1])
        size[rows == 0] = 0.0
        return Comparison(z, chi_square, freedom, size, rows)

    def stability(self, window: Profile, baseline: Profile) -> NDArray[np.float64]:
        """The population stability index of each subject over all its slots, less what chance gives."""
        return _stability(window.counts, baseline.counts, np.ones(len(self._owner), bool), self._starts)

    def _both(
        self, slots: NDArray[np.bool_], window: Profile, baseline: Profile
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self._sum(window.counts * slots), self._sum(baseline.counts * slots)

    def _sum(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        summed: NDArray[np.int64] = np.add.reduceat(slots, self._starts)
        return summed

    def _shift(
        self,
        window: Profile,
        baseline: Profile,
        z: NDArray[np.float64],
        size: NDArray[np.float64],
        rows: NDArray[np.float64],
    ) -> None:
        mine, _, here = self._moments(window)
        theirs, variance, there = self._moments(baseline)
        joint = _joint(here, there) * self._ordered
        difference = np.where(joint > 0, mine - theirs, 0.0)
        known = np.maximum(variance, np.finfo(np.float64).tiny)
        rows[:, Aspect.SHIFT] = joint
        size[:, Aspect.SHIFT] = np.where(variance > 0, difference / np.sqrt(known), 0.0)
        z[:, Aspect.SHIFT] = np.clip(size[:, Aspect.SHIFT] * np.sqrt(joint), -38, 38)

    def _moments(
        self, profile: Profile
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Mean and variance of the normal scores, and how many values are present."""
        counts = profile.counts * self._present
        here = self._sum(counts).astype(np.float64)
        divisor = np.maximum(here, 1.0)
        mean = np.add.reduceat(counts * self._scores, self._starts) / divisor
        square = np.add.reduceat(counts * self._scores**2, self._starts) / divisor
        variance = square - mean**2
        return mean, np.where(variance > _ROUNDING * square, variance, 0.0), here

    def _shape(
        self,
        window: Profile,
        baseline: Profile,
        z: NDArray[np.float64],
        size: NDArray[np.float64],
        rows: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        mine, theirs = window.counts * self._bins, baseline.counts * self._bins
        here, there = self._sum(mine), self._sum(theirs)
        both = mine + theirs
        part = _share(here, here + there)[self._owner]
        small = np.minimum(part, 1 - part) * both < _LEAST_EXPECTED
        # One cell for all small ones of a subject, beside the cells that stand by themselves.
        single, single_used = _cells(np.where(small, 0, mine), np.where(small, 0, both), part)
        pooled, pooled_used = _cells(
            self._sum(mine * small), self._sum(both * small), _share(here, here + there)
        )
        joint = _joint(here.astype(np.float64), there.astype(np.float64))
        chi_square = np.where(joint > 0, np.add.reduceat(single, self._starts) + pooled, 0.0)
        freedom = np.where(joint > 0, self._sum(single_used) + pooled_used - 1, 0).astype(np.float64)
        rows[:, Aspect.SHAPE] = joint
        size[:, Aspect.SHAPE] = _stability(window.counts, baseline.counts, self._bins, self._starts)
        z[:, Aspect.SHAPE] = chi_square_z(chi_square, freedom)
        return chi_square, freedom


def _normal_scores(
    counts: NDArray[np.int64],
    present: NDArray[np.int64],
    starts: NDArray[np.int64],
    owner: NDArray[np.int64],
) -> NDArray[np.float64]:
    """For each slot the normal quantile of the middle of its ranks, as if it held one half of a row more."""
    padded = counts + 0.5
    reached = np.cumsum(padded)
    before = (reached - padded)[starts]
    whole = present + 0.5 * np.diff(np.append(starts, len(owner)))
    middle = (reached - padded / 2 - before[owner]) / whole[owner]
    inverse = NormalDist().inv_cdf
    return np.array([inverse(min(max(rank, 1e-12), 1 - 1e-12)) for rank in middle.tolist()])


def _joint(here: NDArray[Any], there: NDArray[Any]) -> NDArray[np.float64]:
    return np.where((here > 0) & (there > 0), here * there / np.maximum(here + there, 1.0), 0.0)


def _share(events: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    return events / np.maximum(rows, 1)


def _cells(
    mine: NDArray[np.int64], both: NDArray[np.int64], part: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Each cell's share of the chi-square, and 1 where it is large enough to have one, else 0."""
    used = np.minimum(part, 1 - part) * both >= _LEAST_EXPECTED
    expected = both * part
    variance = np.where(used, expected * (1 - part), 1.0)
    return np.where(used, (mine - expected) ** 2 / variance, 0.0), used.astype(np.int64)


def _stability(
    mine: NDArray[np.int64], theirs: NDArray[np.int64], slots: NDArray[np.bool_], starts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Population stability index over `slots`, less its expectation when nothing has changed.

    Half a row is added to each slot in use, so that an empty one does not make it infinite. The expectation
    is (slots - 1) (1 / rows + 1 / other rows), by Yurdakul and Naranjo (2020); 0 without rows.
    """
    used = slots & (mine + theirs > 0)
    added = np.where(used, 0.5, 0.0)
    ours, others = np.where(used, mine, 0) + added, np.where(used, theirs, 0) + added
    here, there = np.add.reduceat(ours, starts), np.add.reduceat(others, starts)
    owner = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(mine))))
    p = np.where(used, ours, 1.0) / np.where(used, here[owner], 1.0)
    q = np.where(used, others, 1.0) / np.where(used, there[owner], 1.0)
    index = np.add.reduceat((p - q) * np.log(p / q), starts)
    free = np.maximum(np.add.reduceat(used.astype(np.int64), starts) - 1, 0)
    joint = _joint(np.add.reduceat(mine * slots, starts), np.add.reduceat(theirs * slots, starts))
    expected = free / np.maximum(joint, 1.0)
    return np.where(joint > 0, index - expected, 0.0)
