"""Slices: parts of the traffic that a candidate may lose on while it wins over all.

Declared fields are cut by their values. All fields are searched as well: texts by their most frequent values,
numbers by the quarters they fall into, missing apart. A slice's money is tested by Student's t on whole days,
and with so many slices some look bad by chance, so their p-values are multiplied as Holm does it
(S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 1979). Such a test
holds for one look; it can only veto, never promote, so looking often costs power and not safety.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr

from sidecar.signature import Kind
from trainer.days import DAY_NS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from sidecar.signature import Blocks, Field, Signature
    from trainer.units import Pairs

MIN_CHANGED = 50
"""A slice with fewer rows decided differently is too small to be judged."""
MOST_VALUES = 30
"""Of a text field, so many of the most frequent values are slices."""
KEPT = 5
"""The worst so many slices are kept in the evidence, beside those that were declared."""
_QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Slice:
    """What the candidate gained over the champion on rows whose `field` is in `part`.

    changed: rows decided differently. gain: money over all judged days. p: chance of a loss this large on a
    slice that does not lose, after Holm's correction for all slices tried. declared: by the task.
    """

    field: str
    part: str
    changed: int
    gain: float
    p: float
    declared: bool


def find_slices(
    signature: Signature,
    blocks: Blocks,
    event_ns: NDArray[np.int64],
    pairs: Pairs,
    declared: Sequence[str],
) -> tuple[int, tuple[Slice, ...]]:
    """How many slices were tried, and the declared and the worst of them, worst first.

    Rows are those that whole days joined; days without a row in a slice count as days on which it gained 0.
    """
    days = int(event_ns[-1] // DAY_NS - event_ns[0] // DAY_NS) + 1 if len(event_ns) else 0
    rows = np.flatnonzero(pairs.changed)
    if days < 2 or not len(rows):  # noqa: PLR2004 - one day has no spread
        return 0, ()
    day = event_ns[rows] // DAY_NS - event_ns[0] // DAY_NS
    gain, inside = pairs.gain[rows], blocks.take(rows)
    found = []
    for field in signature.fields:
        names, codes = _parts(signature, inside, field)
        sums = np.zeros((len(names), days))
        kept = codes >= 0
        np.add.at(sums, (codes[kept], day[kept]), gain[kept])
        counts = np.bincount(codes[kept], minlength=len(names))
        for part, count, totals in zip(names, counts.tolist(), sums, strict=True):
            if count >= MIN_CHANGED:
                found.append((_chance(totals), field.name, part, count, float(totals.sum())))
    found.sort()
    slices = tuple(
        Slice(field, part, count, money, p, field in declared)
        for p, (_, field, part, count, money) in zip(holm([one[0] for one in found]), found, strict=True)
    )
    return len(slices), tuple(one for rank, one in enumerate(slices) if rank < KEPT or one.declared)


def holm(ordered: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values of p-values in rising order.

    >>> holm([0.01, 0.02, 0.5])
    [0.03, 0.04, 0.5]
    """
    adjusted = np.minimum(np.array(ordered) * np.arange(len(ordered), 0, -1), 1.0)
    return [float(one) for one in np.maximum.accumulate(adjusted)]


def _chance(totals: NDArray[np.float64]) -> float:
    """The chance of totals this low on days whose expectation is 0."""
    spread = float(totals.std(ddof=1))
    if spread == 0:
        return 1.0 if totals[0] >= 0 else 0.0
    t = float(totals.mean()) / spread * len(totals) ** 0.5
    return round(float(stdtr(len(totals) - 1, t)), 12)


def _parts(signature: Signature, blocks: Blocks, field: Field) -> tuple[list[str], NDArray[np.int64]]:
    """The names of a field's slices, and which of them each row is in, -1 for none."""
    if field.kind is Kind.TEXT:
        column = next(at for at, known in enumerate(signature.texts) if known.name == field.name)
        return _frequent(blocks.texts[:, column].tolist())
    if field.kind is Kind.INTEGER:
        column = next(at for at, known in enumerate(signature.integers) if known.name == field.name)
        return _quarters(blocks.integers[:, column].astype(np.float64))
    column = next(at for at, known in enumerate(signature.numbers) if known.name == field.name)
    return _quarters(blocks.numbers[:, column].astype(np.float64))


def _frequent(values: list[str]) -> tuple[list[str], NDArray[np.int64]]:
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    names = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_VALUES]
    code = {name: number for number, name in enumerate(names)}
    return [name or "missing" for name in names], np.array([code.get(value, -1) for value in values])


def _quarters(values: NDArray[np.float64]) -> tuple[list[str], NDArray[np.int64]]:
    known = ~np.isnan(values)
    cuts = np.unique(np.quantile(values[known], _QUARTERS)) if known.any() else np.empty(0)
    codes = np.where(known, np.searchsorted(cuts, values, side="right"), len(cuts) + 1)
    return [*_ranges([f"{cut:g}" for cut in cuts]), "missing"], codes


def _ranges(cuts: list[str]) -> Iterator[str]:
    if not cuts:
        yield "any"
        return
    yield f"below {cuts[0]}"
    for low, high in itertools.pairwise(cuts):
        yield f"{low} to {high}"
    yield f"{cuts[-1]} or more"
