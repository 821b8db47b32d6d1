"""The features of a batch as a cell: only what its raw fields do not tell already, back bit for bit.

A graph makes most features of one raw field each: filled in, shifted and scaled, cast, or looked up by word.
So each column is a byte that says how it is stored, and then

    own       as a column of a matrix cell (`sidecar.cells`)
    line      as (field - offset) * scale of a number or integer field in float32, one value where the field
              is missing, and an integers column: how far each row's bits are from that, for most graphs 0
    words     as one value for each distinct text of a text field

The writer finds out by looking at the rows, not at the graph, and keeps what it guessed only where it gives
every row's bits, or with what is left to them. So the cell says what the engine computed, also where
the engine was wrong. What has been found is tried first on the model's next batch.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from sidecar.cells import (
    beside,
    pack_codes,
    pack_integers,
    pack_matrix,
    unpack_float_column,
    unpack_integer_column,
)
from sidecar.feature_origin import Line, likely_origins

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sidecar.feature_origin import Origin, Origins, RawFields

_OWN, _LINE, _WORDS = range(3)
_LINE_HEAD = struct.Struct("<HffI")
_WORDS_HEAD = struct.Struct("<HI")
_FEWEST = 32
"""Rows below which columns are their own: heads would take more than they save."""


def pack_features(features: NDArray[np.float32], fields: RawFields, origins: Origins) -> bytes:
    """The cell. features: by column, [features, rows]; origins: of the model, and added to."""
    rows = features.shape[1]
    if rows < _FEWEST:
        return b"".join(map(_own, features))
    cells = [_pack_column(column, fields, origins.get(place)) for place, column in enumerate(features)]
    large = [place for place, cell in enumerate(cells) if len(cell) >= rows]  # a byte a row
    if large:
        sought = features[large]
        for place, column, likely in zip(large, sought, likely_origins(sought, fields), strict=True):
            for origin in likely:
                cell = _pack_as(column.view("<u4"), fields, origin)
                if cell is not None and len(cell) < len(cells[place]):
                    cells[place] = cell
                    origins[place] = origin
                    break
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
            column = (_line(source, np.isnan(source), shift, scale, filler) + rest.astype("<u4")).view("<f4")
        else:
            field, count = _WORDS_HEAD.unpack_from(data, offset)
            offset += _WORDS_HEAD.size
            column = np.frombuffer(data, "<f4", count, offset)[word_rows[field]]
            offset += 4 * count
        columns.append(column)
    return beside(columns, rows, np.float32)


def _pack_column(column: NDArray[np.float32], fields: RawFields, origin: Origin | None) -> bytes:
    cell = None if origin is None else _pack_as(column.view("<u4"), fields, origin)
    return _own(column) if cell is None or len(cell) >= len(column) else cell


def _own(column: NDArray[np.float32]) -> bytes:
    return bytes([_OWN]) + pack_matrix(column[None])


def _pack_as(bits: NDArray[np.uint32], fields: RawFields, origin: Origin) -> bytes | None:
    """The column as what it may be made of; None if it is not so."""
    if isinstance(origin, Line):
        return _pack_line(bits, fields.numeric(origin.field), origin)
    return _pack_words(bits, origin.field, *fields.words[origin.field])


def _pack_line(bits: NDArray[np.uint32], source: NDArray[np.float32], line: Line) -> bytes:
    missing = np.isnan(source)
    filler = int(bits[missing.argmax()])  # any value will do where none is missing
    guess = _line(source, missing, line.offset, line.scale, filler)
    exact = (guess == bits).all()
    rest = pack_codes(bits, 1) if exact else pack_integers([(bits - guess).view(np.int32)])
    return bytes([_LINE]) + _LINE_HEAD.pack(line.field, line.offset, line.scale, filler) + rest


def _line(
    source: NDArray[np.float32], missing: NDArray[np.bool_], offset: float, scale: float, filler: int
) -> NDArray[np.uint32]:
    """The bits of (source - offset) * scale, and those of `filler` where the source is missing."""
    line = np.array(source, "<f4")
    if (offset, scale) != (0, 1):
        line -= np.float32(offset)
        with np.errstate(over="ignore"):
            line *= np.float32(scale)
    bits = line.view("<u4")
    if missing[missing.argmax()]:  # sooner known than `any`
        np.copyto(bits, np.uint32(filler), where=missing)
    return bits


def _pack_words(
    bits: NDArray[np.uint32], field: int, distinct: Sequence[object], of_row: NDArray[np.integer]
) -> bytes | None:
    if len(distinct) > len(of_row) / 2:
        return None
    rows = of_row.astype(np.intp, copy=False)
    values = np.zeros(len(distinct), "<u4")
    values[rows] = bits
    if (values.take(rows) != bits).any():
        return None
    return bytes([_WORDS]) + _WORDS_HEAD.pack(field, len(values)) + values.tobytes()
