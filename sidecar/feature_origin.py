"""What features are made of: of which raw field each seems to be a line or a lookup, as a few rows show.

A guess; who uses one compares every row (`sidecar.feature_cell`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_SAMPLE = 256
"""Rows that show what a feature may be."""
_CERTAIN = 1 - 1e-6
"""Squared correlation in the sample from which on a feature may be a line of a field."""
_TRIES = 3
"""Text fields that are named for a feature at most."""


@dataclass(frozen=True, slots=True)
class Line:
    """(field - offset) * scale in float32, one value where the field is missing. field: see `RawFields`."""

    field: int
    offset: float
    scale: float


@dataclass(frozen=True, slots=True)
class Lookup:
    """One value for each distinct text of a text field."""

    field: int


Origin: TypeAlias = Line | Lookup
Origins: TypeAlias = "dict[int, Origin]"
"""Of some features of one model, by their place, what they turned out to be."""


@dataclass(frozen=True, slots=True, eq=False)
class RawFields:
    """The raw fields of a batch by column.

    numbers: float32 [fields, rows]; integers: int64 [fields, rows]; words: of each text field the distinct
    texts, and which of them each row has. Numbers and integers count as one row of fields, as float32.
    """

    numbers: NDArray[np.float32]
    integers: NDArray[np.int64]
    words: Sequence[tuple[Sequence[object], NDArray[np.integer]]]

    def numeric(self, field: int) -> NDArray[np.float32]:
        """One number or integer field, [rows]."""
        place = field - len(self.numbers)
        values: NDArray[np.float32] = self.numbers[field] if place < 0 else self.integers[place].astype("<f4")
        return values

    def sampled(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """All of them in some rows, [fields, rows]."""
        integers = self.integers.take(rows, axis=1).astype("<f4")
        return np.concatenate([self.numbers.take(rows, axis=1), integers])


def likely_origins(features: NDArray[np.float32], fields: RawFields) -> list[Sequence[Origin]]:
    """For each of these features (at least one) what it may be made of, likeliest first.

    features: by column, [features, rows].
    """
    rows = features.shape[1]
    bits = features.view("<u4")
    odd = (bits != bits[:, :1]).argmax(axis=1)  # a row that is unlike the first one
    sample = np.concatenate([np.linspace(0, rows - 1, _SAMPLE).astype(np.intp), odd])
    found: list[Sequence[Origin]] = list(_lines(features.take(sample, axis=1), fields.sampled(sample)))
    other = [place for place, lines in enumerate(found) if not lines]
    if other:
        seen = bits[other].take(sample, axis=1)
        fitting = [_fits(seen, len(distinct), of_row[sample]) for distinct, of_row in fields.words]
        for number, place in enumerate(other):
            found[place] = [Lookup(field) for field, fits in enumerate(fitting) if fits[number]][:_TRIES]
    return found


def _lines(features: NDArray[np.float32], fields: NDArray[np.float32]) -> list[list[Line]]:
    """For each feature the line that it seems to be, if it does.

    By least squares over the rows in which the field is known, for all pairs at once.
    """
    known = np.isfinite(fields)
    finite = np.isfinite(features)
    counts = known.sum(axis=1)
    with np.errstate(all="ignore"):  # constants and unknown columns give NaN, which fits nothing
        x = np.where(known, fields, 0.0).astype(np.float64)
        x_mean = x.sum(axis=1) / counts
        x = np.where(known, x - x_mean[:, None], 0.0)
        y = np.where(finite, features, 0.0).astype(np.float64)
        y_mean = y.mean(axis=1)
        y = np.where(finite, y - y_mean[:, None], 0.0)
        xx = (x * x).sum(axis=1)
        xy = y @ x.T
        y_sum = y @ known.T.astype(np.float64)
        yy = (y * y) @ known.T.astype(np.float64) - y_sum * y_sum / counts
        fit = xy * xy / (xx * yy)
        fit[~np.isfinite(fit)] = 0.0
        scale = xy / xx
        offset = x_mean - (y_mean[:, None] + y_sum / counts) / scale
    found: list[list[Line]] = [[] for _ in features]
    for feature, field in enumerate(fit.argmax(axis=1).tolist() if len(fields) else ()):
        if fit[feature, field] < _CERTAIN:
            continue
        slope, shift = np.float32(scale[feature, field]), np.float32(offset[feature, field])
        if slope == 1 and abs(shift) < np.sqrt(xx[field] / counts[field]) * np.finfo(np.float32).eps:
            shift = np.float32(0)  # the field itself
        if slope != 0 and np.isfinite(slope) and np.isfinite(shift):
            found[feature] = [Line(field, float(shift), float(slope))]
    return found


def _fits(bits: NDArray[np.uint32], distinct: int, of_row: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which features have equal bits in rows with equal texts. of_row: which text each row has."""
    first = np.empty(distinct, np.intp)
    first[of_row[::-1]] = np.arange(len(of_row))[::-1]
    return np.asarray((bits.take(first[of_row], axis=1) == bits).all(axis=1))
