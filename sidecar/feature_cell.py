"""The features of a batch as a cell: only what its raw fields do not tell already, back bit for bit.

A graph makes most features of one raw field each: filled in, shifted and scaled, cast, or looked up by word.
So each column is a byte that says how it is stored, and then

    own       as a column of a matrix cell (`sidecar.cells`)
    line      as (field - offset) * scale of a number or integer field in float32, one value where the field
              is missing, and an integers column: how far each row's bits are from that, for most graphs 0
    words     as one value for each distinct text of a text field

The writer finds out by looking at the rows, not at the graph, and keeps what it guessed only where it gives
every row's bits, or with what is left to them. So the cell says what the engine computed, also where
the engine was wrong.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from sidecar.cells import (
    beside,
    pack_float_column,
    pack_integers,
    unpack_float_column,
    unpack_integer_column,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Words: TypeAlias = "Sequence[tuple[Sequence[object], NDArray[np.integer]]]"
"""Of each text field the distinct texts, and which of them each row has."""

_OWN, _LINE, _WORDS = range(3)
_LINE_HEAD = struct.Struct("<HffI")
_WORDS_HEAD = struct.Struct("<HI")
_FEWEST = 32
"""Rows below which columns are their own: heads would take more than they save."""
_SAMPLE = 256
"""Rows that show what a column may be."""
_CERTAIN = 1 - 1e-6
"""Squared correlation in the sample from which on a column may be a line of a field."""
_TRIES = 3
"""Text fields that are compared with a column row by row."""


def pack_features(
    features: NDArray[np.float32],
    numbers: NDArray[np.float32],
    integers: NDArray[np.int64],
    words: Words,
) -> bytes:
    """The cell. features, numbers: by column [columns, rows]; integers: [rows, fields]."""
    rows = features.shape[1]
    if rows < _FEWEST or not len(features):
        return b"".join(map(_own, features))
    bits = features.view("<u4")
    differs = bits != bits[:, :1]
    odd = differs.argmax(axis=1)  # a row in which the column is not what it is in the first one
    sample = np.concatenate([np.linspace(0, rows - 1, _SAMPLE).astype(np.intp), odd])
    fields = np.concatenate([numbers, integers.T.astype("<f4")])
    lines = _lines(features[:, sample], fields[:, sample])
    varies = differs[np.arange(len(features)), odd]
    fitting = _fitting_words(bits[:, sample], words, sample) if len(lines) < np.count_nonzero(varies) else []
    cells = []
    for number, column in enumerate(features):
        cell = None
        if number in lines:
            field, offset, scale = lines[number]
            cell = _pack_line(bits[number], fields[field], field, offset, scale)
        elif varies[number]:
            likely = [field for field, fits in enumerate(fitting) if fits[number]]
            tried = (_pack_words(bits[number], words[field], field) for field in likely[:_TRIES])
            cell = next(filter(None, tried), None)
        cells.append(cell if cell is not None and len(cell) < len(column) else _smaller(cell, _own(column)))
    return b"".join(cells)


def unpack_features(
    data: bytes,
    rows: int,
    numbers: NDArray[np.float32],
    integers: Sequence[NDArray[np.int64]],
    word_rows: Sequence[NDArray[np.int64]],
) -> NDArray[np.float32]:
    """The inverse of `pack_features`, as [rows, columns]; numbers: [rows, fields], the others by column."""
    columns = []
    offset = 0
    while offset < len(data):
        how = data[offset]
        offset += 1
        if how == _OWN:
            column, offset = unpack_float_column(data, offset, rows)
        elif how == _LINE:
            field, shift, scale, filler = _LINE_HEAD.unpack_from(data, offset)
            place = field - numbers.shape[1]
            source = numbers[:, field] if place < 0 else integers[place].astype("<f4")
            rest, offset = unpack_integer_column(data, offset + _LINE_HEAD.size, rows)
            column = (_line(source, shift, scale, filler) + rest.astype("<u4")).view("<f4")
        else:
            field, count = _WORDS_HEAD.unpack_from(data, offset)
            offset += _WORDS_HEAD.size
            column = np.frombuffer(data, "<f4", count, offset)[word_rows[field]]
            offset += 4 * count
        columns.append(column)
    return beside(columns, rows, np.float32)


def _own(column: NDArray[np.float32]) -> bytes:
    return bytes([_OWN]) + pack_float_column(column)


def _smaller(cell: bytes | None, own: bytes) -> bytes:
    return own if cell is None or len(own) <= len(cell) else cell


def _lines(features: NDArray[np.float32], fields: NDArray[np.float32]) -> dict[int, tuple[int, float, float]]:
    """Of the features that seem to be a line of a field: the field, the offset and the scale.

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
    found = {}
    for feature, field in enumerate(fit.argmax(axis=1).tolist() if len(fields) else ()):
        if fit[feature, field] < _CERTAIN:
            continue
        slope, shift = np.float32(scale[feature, field]), np.float32(offset[feature, field])
        if slope == 1 and abs(shift) < np.sqrt(xx[field] / counts[field]) * np.finfo(np.float32).eps:
            shift = np.float32(0)  # the field itself
        if slope != 0 and np.isfinite(slope) and np.isfinite(shift):
            found[feature] = (field, float(shift), float(slope))
    return found


def _pack_line(
    bits: NDArray[np.uint32], source: NDArray[np.float32], field: int, offset: float, scale: float
) -> bytes:
    missing = np.isnan(source)
    filler = int(bits[missing.argmax()])  # any value will do where none is missing
    rest = (bits - _line(source, offset, scale, filler)).view(np.int32)
    return bytes([_LINE]) + _LINE_HEAD.pack(field, offset, scale, filler) + pack_integers([rest])


def _line(source: NDArray[np.float32], offset: float, scale: float, filler: int) -> NDArray[np.uint32]:
    """The bits of (source - offset) * scale, and those of `filler` where the source is no number."""
    line = source
    if (offset, scale) != (0, 1):
        with np.errstate(over="ignore"):
            line = (source - np.float32(offset)) * np.float32(scale)
    bits = np.ascontiguousarray(line, "<f4").view("<u4")
    missing = np.isnan(source)
    return np.where(missing, np.uint32(filler), bits) if missing.any() else bits


def _fitting_words(
    bits: NDArray[np.uint32], words: Words, sample: NDArray[np.intp]
) -> list[NDArray[np.bool_]]:
    """For each text field, which columns have equal values in rows with equal texts, of those sampled."""
    fitting = []
    for distinct, rows in words:
        which = rows[sample]
        first = np.empty(len(distinct), np.intp)
        first[which[::-1]] = np.arange(len(which))[::-1]
        fitting.append((bits[:, first[which]] == bits).all(axis=1))
    return fitting


def _pack_words(bits: NDArray[np.uint32], words: Any, field: int) -> bytes | None:
    distinct, rows = words
    if len(distinct) > len(rows) / 2:
        return None
    values = np.zeros(len(distinct), "<u4")
    values[rows] = bits
    if (values[rows] != bits).any():
        return None
    return bytes([_WORDS]) + _WORDS_HEAD.pack(field, len(values)) + values.tobytes()
