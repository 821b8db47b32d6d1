"""A profile: what was counted over some rows. Two of them add up, whichever sidecar counted them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.profile.layout import Layout, Number
    from sidecar.signature import Blocks


@dataclass(frozen=True, eq=False)
class Profile:
    """Counts of one layout.

    rows: how many. counts: int64 [slots]. sums, squares: of finite values, float64 [subjects]; whole: how
    many of them are whole numbers, int64 [subjects]; least, most: their range, float64 [subjects]. Of a
    subject that is not a number these are 0, and the range is empty (inf, -inf), as it is without values.
    """

    rows: int
    counts: NDArray[np.int64]
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    whole: NDArray[np.int64]
    least: NDArray[np.float64]
    most: NDArray[np.float64]

    @classmethod
    def empty(cls, layout: Layout) -> Self:
        """The profile of no rows."""
        subjects = len(layout.subjects)
        return cls(
            0,
            np.zeros(layout.slots, np.int64),
            np.zeros(subjects),
            np.zeros(subjects),
            np.zeros(subjects, np.int64),
            np.full(subjects, np.inf),
            np.full(subjects, -np.inf),
        )

    def __add__(self, other: Profile) -> Profile:
        return Profile(
            self.rows + other.rows,
            self.counts + other.counts,
            self.sums + other.sums,
            self.squares + other.squares,
            self.whole + other.whole,
            np.minimum(self.least, other.least),
            np.maximum(self.most, other.most),
        )

    def only(self, layout: Layout, subjects: NDArray[np.bool_]) -> Profile:
        """The same with every other subject as if it had not been counted."""
        return Profile(
            self.rows,
            np.where(subjects[layout.owner], self.counts, 0),
            np.where(subjects, self.sums, 0.0),
            np.where(subjects, self.squares, 0.0),
            np.where(subjects, self.whole, 0),
            np.where(subjects, self.least, np.inf),
            np.where(subjects, self.most, -np.inf),
        )


def count_rows(
    layout: Layout, blocks: Blocks, score: NDArray[np.float32], decision: NDArray[np.bool_]
) -> Profile:
    """Count rows: score float32 [n], decision bool [n], `blocks` of n rows of the layout's signature.

    Sorting a column and looking the bounds up in it takes less time than looking each value up among the
    bounds, and lets go of the GIL.
    """
    counted = replace(Profile.empty(layout), rows=len(score))
    place = 0
    for subjects, block in ((layout.numbers, blocks.numbers), (layout.integers, blocks.integers)):
        for number, column in zip(subjects, block.T.copy(order="C"), strict=True):
            _count_number(layout, counted, place, number, column)
            place += 1
    for text, column in zip(layout.texts, blocks.texts.T, strict=True):
        start, unseen = int(layout.starts[place]), len(text.categories) + 1
        slot_of = text.slot_of
        for value, times in Counter(column.tolist()).items():
            counted.counts[start + slot_of.get(value, unseen)] += times
        place += 1
    _count_number(layout, counted, place, layout.score, score.copy())
    acted = np.count_nonzero(decision)
    counted.counts[-2:] = len(decision) - acted, acted
    return counted


def _count_number(layout: Layout, counted: Profile, place: int, number: Number, column: NDArray[Any]) -> None:
    """Count one column, which is sorted in place: NaN, which stands for missing, comes last."""
    column.sort()
    present = len(column)
    if column.dtype.kind == "f":
        present = int(np.searchsorted(column, np.inf, side="right"))
    reached = np.searchsorted(column, number.bounds, side="right")
    start = layout.starts[place]
    slots = counted.counts[start : start + number.slots]
    slots[0] = reached[0]
    slots[1:-2] = np.diff(reached)
    slots[-2:] = present - reached[-1], len(column) - present
    begin, end = 0, present
    if column.dtype.kind == "f":
        begin = int(np.searchsorted(column, -np.inf, side="right"))
        end = int(np.searchsorted(column, np.inf))
    values = column[begin:end].astype(np.float64)
    if len(values):
        counted.sums[place] = values.sum()
        counted.squares[place] = values @ values
        counted.whole[place] = np.count_nonzero(values == np.floor(values))
        counted.least[place], counted.most[place] = values[0], values[-1]
