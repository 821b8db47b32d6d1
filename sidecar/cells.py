"""Columns of values as cells of a table: bytes and text that SQLite holds, and back, bit for bit.

    floats     float32, little-endian, row after row
    integers   one or more columns. Each is a byte w in {0, 1, 2, 4, 8}, an int64 base, a uint32 count of
               exceptions; then each row as an unsigned w-byte number to add to the base, and the exceptions
               as int64. The greatest number of w bytes stands for the next exception, so that one slow call
               does not widen the durations of a whole batch. A constant column costs 13 bytes whatever its
               length. With w = 8 the rows are plain int64.
    matrix     float32 by column, each after a byte that says how: as it is; as whole numbers; as a constant;
               or not at all, because it is a column of another matrix, missing values filled or not
    words      JSON array of the distinct values of each column, beside an integers cell that says which value
               each row has
    ids        what all ids (visible ASCII) begin with, beside a JSON array of the rest of each, so that
               SQLite's `json_each(request_ids)` finds a request

All numbers are little-endian.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from numpy.typing import NDArray

Value = TypeVar("Value", bound="Hashable")

_HEAD = struct.Struct("<BqI")
_WIDTHS = (1, 2, 4)
_INT64_BYTES = 8

_PLAIN, _WHOLE, _CONSTANT, _COPY, _FILLED = range(5)
_WHOLE_HEAD = struct.Struct("<Bi")
_COPY_HEAD = struct.Struct("<HI")
_NAN_BITS = 0x7FC0_0000
"""The bits of the NaN that stands for missing."""
_QUOTE, _COMMA, _ESCAPE = b'",\\'
_GLANCE = 32
"""Rows that are looked at before a whole column is."""
_WHOLE_LIMIT = 2.0**24
"""Beyond it not every whole number is a float32."""


def pack_floats(array: NDArray[np.float32]) -> bytes:
    """A floats cell of a vector or matrix."""
    return np.ascontiguousarray(array, "<f4").tobytes()


def unpack_floats(data: bytes, rows: int) -> NDArray[np.float32]:
    """The matrix of `rows` rows in a floats cell."""
    return np.frombuffer(data, "<f4").reshape(rows, len(data) // (4 * rows))


def pack_flags(flags: NDArray[np.bool_]) -> bytes:
    """One bit a row."""
    return np.packbits(flags).tobytes()


def unpack_flags(data: bytes, rows: int) -> NDArray[np.bool_]:
    """The inverse of `pack_flags`."""
    return np.unpackbits(np.frombuffer(data, np.uint8), count=rows).astype(bool)


def pack_integers(columns: Iterable[NDArray[np.int64]]) -> bytes:
    """An integers cell; every column has the same rows, one at least."""
    return b"".join(part for column in columns for part in _pack_column(column))


def unpack_integers(data: bytes, rows: int) -> list[NDArray[np.int64]]:
    """The columns of an integers cell."""
    columns = []
    offset = 0
    while offset < len(data):
        width, base, exceptions = _HEAD.unpack_from(data, offset)
        offset += _HEAD.size
        if width == 0:
            column = np.full(rows, base, np.int64)
        elif width == _INT64_BYTES:
            column = np.frombuffer(data, "<i8", rows, offset).astype(np.int64)
        else:
            codes = np.frombuffer(data, f"<u{width}", rows, offset)
            column = codes.astype(np.int64) + base
            if exceptions:
                at = np.flatnonzero(codes == _escape(width))
                column[at] = np.frombuffer(data, "<i8", exceptions, offset + width * rows)
        columns.append(column)
        offset += width * rows + _INT64_BYTES * exceptions
    return columns


def _pack_column(column: NDArray[np.int64]) -> tuple[bytes, ...]:
    base = int(column.min())
    if int(column.max()) == base:
        return (_HEAD.pack(0, base, 0),)
    above = column.view(np.uint64) - np.uint64(base & 0xFFFF_FFFF_FFFF_FFFF)  # exact: the difference fits
    best = (len(column) * _INT64_BYTES, _INT64_BYTES, 0)
    for width in _WIDTHS:
        exceptions = int(np.count_nonzero(above >= _escape(width)))
        best = min(best, (len(column) * width + _INT64_BYTES * exceptions, width, exceptions))
    _, width, exceptions = best
    if width == _INT64_BYTES:
        return (_HEAD.pack(_INT64_BYTES, 0, 0), column.astype("<i8").tobytes())
    codes = np.minimum(above, np.uint64(_escape(width))).astype(f"<u{width}").tobytes()
    if not exceptions:
        return (_HEAD.pack(width, base, 0), codes)
    return (
        _HEAD.pack(width, base, exceptions),
        codes,
        column[above >= _escape(width)].astype("<i8").tobytes(),
    )


def _escape(width: int) -> int:
    return (1 << (8 * width)) - 1


def pack_matrix(matrix: NDArray[np.float32], source: NDArray[np.float32] | None = None) -> bytes:
    """A matrix cell; a column that is one of `source`, missing values filled or not, is not stored again."""
    columns = np.ascontiguousarray(matrix.T, "<f4")
    bits = columns.view("<u4")
    twins = _twins(bits, np.ascontiguousarray(source.T, "<f4").view("<u4")) if source is not None else {}
    return b"".join(
        twins.get(number) or _pack_float_column(columns[number], bits[number])
        for number in range(len(columns))
    )


def unpack_matrix(data: bytes, rows: int, source: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """The inverse of `pack_matrix`, given the same source."""
    columns = []
    offset = 0
    while offset < len(data):
        how = data[offset]
        offset += 1
        column = np.empty(rows, np.uint32)
        if how == _PLAIN:
            column[:] = np.frombuffer(data, "<u4", rows, offset)
            offset += 4 * rows
        elif how == _CONSTANT:
            column[:] = np.frombuffer(data, "<u4", 1, offset)
            offset += 4
        elif how == _WHOLE:
            width, base = _WHOLE_HEAD.unpack_from(data, offset)
            codes = np.frombuffer(data, f"<u{width}", rows, offset + _WHOLE_HEAD.size)
            column.view(np.float32)[:] = codes.astype(np.int32) + (base - 1)
            column[codes == 0] = _NAN_BITS
            offset += _WHOLE_HEAD.size + width * rows
        else:
            assert source is not None, "packed with a source"
            number, filler = _COPY_HEAD.unpack_from(data, offset)
            column.view(np.float32)[:] = source[:, number]
            if how == _FILLED:
                column[column == _NAN_BITS] = filler
            offset += _COPY_HEAD.size
        columns.append(column.view(np.float32))
    return np.stack(columns, axis=1) if columns else np.empty((rows, 0), np.float32)


def _pack_float_column(column: NDArray[np.float32], bits: NDArray[np.uint32]) -> bytes:
    if (bits == bits[0]).all():
        return bytes([_CONSTANT]) + bits[:1].tobytes()
    return _pack_whole(column, bits) or bytes([_PLAIN]) + column.tobytes()


def _pack_whole(column: NDArray[np.float32], bits: NDArray[np.uint32]) -> bytes | None:
    """The column as codes: 0 is missing, others are whole numbers from the least on; None if it is not so."""
    if not _is_whole(column[:_GLANCE]).all():  # most columns of measurements end here
        return None
    missing = bits == _NAN_BITS
    filled = np.where(missing, column[np.argmin(missing)], column)
    least, most = float(filled.min()), float(filled.max())
    if not (least > -_WHOLE_LIMIT and most < _WHOLE_LIMIT and most - least + 1 < _escape(2)):
        return None
    whole = filled.astype(np.int32)
    if (whole.astype(np.float32).view(np.uint32) != filled.view(np.uint32)).any():  # -0.0 has bits of its own
        return None
    base = int(least)
    width = 1 if most - least + 1 <= _escape(1) else 2
    codes = (whole - (base - 1)).astype(f"<u{width}")
    codes[missing] = 0
    return bytes([_WHOLE]) + _WHOLE_HEAD.pack(width, base) + codes.tobytes()


def _is_whole(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    whole: NDArray[np.bool_] = np.isnan(values) | (np.rint(values) == values)
    return whole


def _twins(bits: NDArray[np.uint32], source: NDArray[np.uint32]) -> dict[int, bytes]:
    """Heads of the columns that are a column of `source`, or one with its missing values filled."""
    missing = source == _NAN_BITS
    probe = np.argmin(missing, axis=1)  # a row that has a value, where the column has any
    alike = bits[:, probe] == source[np.arange(len(source)), probe]
    heads: dict[int, bytes] = {}
    for number, other in np.argwhere(alike).tolist():
        if number in heads:
            continue
        differs = bits[number] != source[other]
        if not differs.any():
            heads[number] = bytes([_COPY]) + _COPY_HEAD.pack(other, 0)
        elif np.array_equal(differs, missing[other]):
            filler = bits[number][differs]
            if (filler == filler[0]).all():
                heads[number] = bytes([_FILLED]) + _COPY_HEAD.pack(other, int(filler[0]))
    return heads


def pack_words(words: Iterable[tuple[Sequence[object], NDArray[np.integer]]]) -> tuple[str, bytes]:
    """The values of each column that a row has, and which of them each row has."""
    columns = [_used(values, rows) for values, rows in words]
    return pack_json([values for values, _ in columns]), pack_integers(rows for _, rows in columns)


def _used(values: Sequence[object], rows: NDArray[np.integer]) -> tuple[Sequence[object], NDArray[np.int64]]:
    """The same without values that no row has."""
    used = np.bincount(rows, minlength=len(values)) > 0
    if used.all():
        return values, rows.astype(np.int64, copy=False)
    return [values[place] for place in np.flatnonzero(used).tolist()], (np.cumsum(used) - 1)[rows]


def unpack_words(texts: str, text_rows: bytes, rows: int) -> list[tuple[list[str], NDArray[np.int64]]]:
    """The inverse of `pack_words`: the values of each column, and which of them each row has."""
    return list(zip(json.loads(texts), unpack_integers(text_rows, rows), strict=True))


def spread_words(
    words: Sequence[tuple[Sequence[str], NDArray[np.integer]]], rows: int
) -> NDArray[np.object_]:
    """Columns of texts as object [rows, columns]; rows with the same text share one object."""
    table = np.empty((rows, len(words)), object)
    for column, (values, which) in enumerate(words):
        table[:, column] = np.array(values, object)[which]
    return table


def pack_ids(ids: NDArray[np.bytes_]) -> tuple[str, str]:
    """What all ids (one at least) begin with, and the JSON array of what follows."""
    table = np.ascontiguousarray(ids).view(np.uint8).reshape(len(ids), -1)
    differs = np.flatnonzero((table != table[0]).any(axis=0))
    rest = table[:, differs[0] if len(differs) else table.shape[1] :]
    prefix = table[0, : table.shape[1] - rest.shape[1]].tobytes().rstrip(b"\0").decode()
    if ((rest == _QUOTE) | (rest == _ESCAPE)).any():
        return prefix, pack_json([each.decode()[len(prefix) :] for each in ids.tolist()])
    quoted = np.zeros((len(ids), rest.shape[1] + 3), np.uint8)
    quoted[:, 1:-2] = rest
    quoted[:, 0] = quoted[:, -2] = _QUOTE
    quoted[:, -1] = _COMMA
    flat = quoted.ravel()
    return prefix, f"[{flat[flat != 0][:-1].tobytes().decode()}]"


def unpack_ids(prefix: str, rest: str) -> NDArray[np.bytes_]:
    """The inverse of `pack_ids`, as bytes (S) [n]."""
    if "\\" in rest:
        return np.array([prefix + each for each in json.loads(rest)], np.bytes_)
    text = np.frombuffer(rest.encode(), np.uint8)
    quotes = np.flatnonzero(text == _QUOTE)
    lengths = quotes[1::2] - quotes[::2] - 1
    head = prefix.encode()
    table = np.zeros((len(lengths), max(1, len(head) + int(lengths.max()))), np.uint8)
    table[:, : len(head)] = np.frombuffer(head, np.uint8)
    if len(head) < table.shape[1]:
        # Between an odd quote and the next one lies an id.
        within = (np.add.accumulate(text == _QUOTE, dtype=np.uint8) & 1).astype(np.bool_) & (text != _QUOTE)
        table[:, len(head) :][np.arange(table.shape[1] - len(head)) < lengths[:, None]] = text[within]
    return table.view(f"S{table.shape[1]}").ravel()


def index(values: Iterable[Value]) -> tuple[list[Value], NDArray[np.int64]]:
    """The distinct values in order of appearance, and for each value its place among them."""
    listed = values if isinstance(values, list) else list(values)
    if listed and listed.count(listed[0]) == len(listed):  # quick to see
        return listed[:1], np.zeros(len(listed), np.int64)
    distinct = list(dict.fromkeys(listed))
    places = {value: place for place, value in enumerate(distinct)}
    return distinct, np.fromiter(map(places.__getitem__, listed), np.int64, len(listed))


def pack_json(values: Sequence[object]) -> str:
    """JSON without spaces."""
    return json.dumps(values, separators=(",", ":"))
