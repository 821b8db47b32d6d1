"""Makes the reference: how raw fields, score and decision were distributed, which drift compares with."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from sidecar.drift.scale import DAY, HOUR, WEEK, WEEK_NS
from sidecar.profile.layout import Layout, Number, Text, bounds_of
from sidecar.profile.profile import count_rows
from sidecar.profile.reference import Reference
from sidecar.session import SCORE
from trainer.spread import spread_of
from trainer.utility import usable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.profile.profile import Profile
    from sidecar.signature import Blocks, Signature

BINS = 20
CATEGORIES = 100
"""The most frequent categories that are counted one by one; the others are counted together, as rare."""
RARE = 10_000
"""So many rare categories are known by name; any others count as unseen, now and later."""
SPREAD_WEEKS = 8
"""The newest weeks of the training rows, which say how much windows vary."""
MORE_WEEKS = 52
"""So many of them say it where days have too few rows, of weeks."""


def make_reference(
    signature: Signature,
    blocks: Blocks,
    event_ns: NDArray[np.int64],
    score: NDArray[np.float32],
    decision: NDArray[np.bool_],
) -> Reference:
    """The reference of training rows, with what the model makes of rows it was not fitted on.

    event_ns: int64 [n] of `blocks`, increasing. score: float32 [m], decision: bool [m], of the newest m rows.
    """
    layout = _layout(signature, blocks, score)
    older = len(blocks) - len(score)
    # So that rows stand side by side; what older rows have in place of score and decision is taken out again.
    scores = np.concatenate([np.full(older, np.nan, np.float32), score])
    decisions = np.concatenate([np.zeros(older, bool), decision])

    def count(begin: int, end: int) -> Profile:
        rows = slice(begin, end)
        counted = count_rows(layout, blocks.take(rows), scores[rows], decisions[rows])
        without = max(0, min(end, older) - begin)
        counted.counts[layout.missing & (layout.owner == len(layout.subjects) - 2)] -= without
        counted.counts[-2] -= without
        return counted

    profile = count(0, len(blocks))
    _expect_new(layout, blocks, profile)
    reference = Reference(layout, profile, {})
    hours = event_ns // HOUR.length_ns * HOUR.length_ns

    def newest(weeks: int) -> dict[int, Profile]:
        first = int(np.searchsorted(hours, hours[-1] - weeks * WEEK_NS))
        begins = first + np.flatnonzero(np.diff(hours[first:], prepend=-1))
        ends = [*begins[1:].tolist(), len(hours)]
        return {int(hours[at]): count(at, end) for at, end in zip(begins.tolist(), ends, strict=True)}

    spread = spread_of(reference, newest(SPREAD_WEEKS))
    if (DAY.name, "training") not in spread:
        spread |= spread_of(reference, newest(MORE_WEEKS), (WEEK,))
    return Reference(layout, profile, spread)


def _layout(signature: Signature, blocks: Blocks, score: NDArray[np.float32]) -> Layout:
    # What the model takes for missing has no part in the bounds, and so counts as below or above.
    numbers = usable(signature, blocks)
    return Layout(
        tuple(
            Number(field.name, bounds_of(_present(numbers[:, column]), BINS), field.unit)
            for column, field in enumerate(signature.numbers)
        ),
        tuple(
            Number(field.name, bounds_of(blocks.integers[:, column], BINS), field.unit)
            for column, field in enumerate(signature.integers)
        ),
        tuple(_text(field.name, blocks.texts[:, column]) for column, field in enumerate(signature.texts)),
        Number(SCORE, bounds_of(score, BINS)),
    )


def _present(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values[~np.isnan(values)]


def _text(name: str, values: NDArray[np.object_]) -> Text:
    times = Counter(values.tolist())
    del times[""]
    # Most frequent first, equally frequent ones by name.
    by_times = sorted(times, key=lambda category: (-times[category], category))
    frequent = [category for category in by_times[:CATEGORIES] if times[category] > 1]
    rare = by_times[len(frequent) :][:RARE]
    return Text(name, tuple(sorted(frequent)), tuple(sorted(rare)))


def _expect_new(layout: Layout, blocks: Blocks, profile: Profile) -> None:
    """Count categories that were seen once as unseen: of that many rows new ones are to be expected.

    The estimate of Good and Turing (1953): the part of future rows whose category is new is the part of the
    known rows whose category occurs once.
    """
    first = len(layout.numbers) + len(layout.integers)
    for place, (text, values) in enumerate(zip(layout.texts, blocks.texts.T, strict=True), first):
        times = Counter(values.tolist())
        once = sum(times[category] == 1 for category in text.rare)
        rare = int(layout.starts[place]) + len(text.categories)
        profile.counts[rare] -= once
        profile.counts[rare + 1] += once
