"""Columns of values as cells of a table: bytes and text that SQLite holds, and back, bit for bit.

    floats     float32, little-endian, row after row
    integers   one or more columns. Each is a byte w in {0, 1, 2, 4, 8}, an int64 base, a uint32 count of
               exceptions; then each row as an unsigned w-byte number to add to the base, and the exceptions
               as int64. The greatest number of w bytes stands for the next exception, so that one slow call
               does not widen the durations of a whole batch. A constant column costs 13 bytes whatever its
               length. With w = 8 the rows are plain int64.
    matrix     float32 by column, each after a byte that says how: as it is; as whole numbers; as a constant
    words      JSON array of the distinct values of each column, beside an integers cell that says which value
               each row has
    ids        what all ids (visible ASCII) begin with, beside a JSON array of the rest of each, so that
               SQLite's `json_each(request_ids)` finds a request. Spaces give each as many characters, unless
               one needs an escape: arrays are cut by place, not read character by character

All numbers are little-endian.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from numpy.typing import NDArray

Bytes: TypeAlias = "bytes | memoryview"
"""A part of a cell. Parts are joined once: a copy on the way costs as much as a look at the column."""
Value = TypeVar("Value", bound="Hashable")
Number = TypeVar("Number", bound="np.generic")

_HEAD = struct.Struct("<BqI")
_WIDTHS = (1, 2, 4)
_INT64_BYTES = 8

_PLAIN, _WHOLE, _CONSTANT = range(3)
_WHOLE_HEAD = struct.Struct("<Bi")
NAN_BITS = 0x7FC0_0000
"""The bits of the NaN that stands for missing."""
_QUOTE, _COMMA, _SPACE = b'", '
_UNQUOTE = bytes.maketrans(b'" ', bytes(2))
_GLANCE = 32
"""Rows that are looked at before a whole column is."""
_BLOCK = 2048
"""Rows that are laid side by side at a time."""
_CUT_BYTES = 32_768
"""Of rows that are cut into columns at a time."""
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


def pack_integers(columns: Iterable[NDArray[np.integer]]) -> bytes:
    """An integers cell of columns of int64, or of a narrower kind; all have the same rows, one at least."""
    return b"".join(part for column in columns for part in _pack_column(column))


def unpack_integers(data: bytes, rows: int) -> list[NDArray[np.int64]]:
    """The columns of an integers cell."""
    columns = []
    offset = 0
    while offset < len(data):
        column, offset = unpack_integer_column(data, offset, rows)
        columns.append(column)
    return columns


def unpack_integer_column(data: bytes, offset: int, rows: int) -> tuple[NDArray[np.int64], int]:
    """The column that begins at `offset` of an integers cell, and where the next one does."""
    width, base, exceptions = _HEAD.unpack_from(data, offset)
    offset += _HEAD.size
    if width == 0:
        return np.full(rows, base, np.int64), offset
    if width == _INT64_BYTES:
        return np.frombuffer(data, "<i8", rows, offset).astype(np.int64), offset + width * rows
    codes = np.frombuffer(data, f"<u{width}", rows, offset)
    column = codes.astype(np.int64)
    column += base
    offset += width * rows
    if exceptions:
        column[codes == _escape(width)] = np.frombuffer(data, "<i8", exceptions, offset)
    return column, offset + _INT64_BYTES * exceptions


def pack_codes(codes: NDArray[np.integer], count: int) -> bytes:
    """An integers cell of one column of numbers from 0 up to `count` - 1."""
    return b"".join(_pack_codes(codes, count))


def _pack_codes(codes: NDArray[np.integer], count: int) -> tuple[Bytes, ...]:
    if count == 1:
        return (_HEAD.pack(0, 0, 0),)
    if count <= _escape(1):  # most columns: no need to look
        return _HEAD.pack(1, 0, 0), codes.astype(np.uint8).data
    return _pack_column(codes)


def _pack_column(column: NDArray[np.integer]) -> tuple[Bytes, ...]:
    base, most = int(column.min()), int(column.max())
    if most == base:
        return (_HEAD.pack(0, base, 0),)
    if most - base < _escape(1):  # no exception could make it smaller
        return _HEAD.pack(1, base, 0), (column - base if base else column).astype(np.uint8).data
    column = column.astype("<i8", copy=False)
    above = column.view(np.uint64) - np.uint64(base & 0xFFFF_FFFF_FFFF_FFFF)  # exact: the difference fits
    if most - base < _escape(4):
        above = above.astype(np.uint32)
    rows = len(column)
    size, best = rows * _INT64_BYTES, _INT64_BYTES
    for width in _WIDTHS:
        if size <= rows * width:
            break
        exceptions = int(np.count_nonzero(above >= _escape(width)))
        size, best = min((size, best), (rows * width + _INT64_BYTES * exceptions, width))
    if best == _INT64_BYTES:
        return _HEAD.pack(_INT64_BYTES, 0, 0), np.ascontiguousarray(column).data
    codes = above.astype(f"<u{best}")
    if size == rows * best:
        return _HEAD.pack(best, base, 0), codes.data
    exceptional = np.flatnonzero(above >= _escape(best))
    codes[exceptional] = _escape(best)
    return _HEAD.pack(best, base, len(exceptional)), codes.data, column[exceptional].data


def _escape(width: int) -> int:
    return (1 << (8 * width)) - 1


class Room:
    """Memory in which matrices are cut into columns, used again for the next batch.

    Fresh memory of this size comes page by page from the kernel, which takes longer than all that is done
    in it. Holds as much as the largest matrix of each name took.
    """

    def __init__(self) -> None:
        self._held: dict[str, NDArray[np.uint8]] = {}

    def by_column(self, name: str, matrix: NDArray[Number]) -> NDArray[Number]:
        """The columns of a matrix, each in one piece; good until the next matrix of this name."""
        held = self._held.get(name)
        if held is None or held.nbytes < matrix.nbytes:
            held = self._held[name] = np.empty(matrix.nbytes, np.uint8)
        columns = held[: matrix.nbytes].view(matrix.dtype).reshape(matrix.shape[::-1])
        rows = _CUT_BYTES // max(1, matrix.itemsize * matrix.shape[1]) + 1
        for start in range(0, len(matrix), rows):  # so the part that is being cut stays in the cache
            columns[:, start : start + rows] = matrix[start : start + rows].T
        return columns


def unpack_matrix(data: bytes, rows: int) -> NDArray[np.float32]:
    """The inverse of `pack_matrix`."""
    columns = []
    offset = 0
    while offset < len(data):
        column, offset = unpack_float_column(data, offset, rows)
        columns.append(column)
    return beside(columns, rows, np.float32)


def beside(columns: Sequence[NDArray[Any]], rows: int, kind: type[Number]) -> NDArray[Number]:
    """The matrix of these columns, [rows, columns]."""
    matrix = np.empty((rows, len(columns)), kind)
    for start in range(0, rows, _BLOCK):  # so the part that is being filled stays in the cache
        block = slice(start, start + _BLOCK)
        for place, column in enumerate(columns):
            matrix[block, place] = column[block]
    return matrix


def pack_matrix(columns: NDArray[np.float32]) -> bytes:
    """A matrix cell of columns, float32 [columns, rows], each in one piece."""
    bits = columns.view("<u4")
    glance = columns[:, :_GLANCE]  # most columns of measurements are known for what they are by it
    constant = (bits[:, :_GLANCE] == bits[:, :1]).all(axis=1).tolist()
    whole = (np.isnan(glance) | (np.rint(glance) == glance)).all(axis=1).tolist()
    parts: list[Bytes] = []
    for place, column in enumerate(columns):
        if constant[place] and (bits[place] == bits[place, 0]).all():
            parts += (bytes([_CONSTANT]), bits[place, :1].data)
        else:
            parts += (whole[place] and _pack_whole(column, bits[place])) or (bytes([_PLAIN]), column.data)
    return b"".join(parts)


def unpack_float_column(data: bytes, offset: int, rows: int) -> tuple[NDArray[np.float32], int]:
    """The column that begins at `offset` of a matrix cell, and where the next one does."""
    how = data[offset]
    offset += 1
    if how == _PLAIN:
        return np.frombuffer(data, "<f4", rows, offset), offset + 4 * rows
    if how == _CONSTANT:
        return np.repeat(np.frombuffer(data, "<f4", 1, offset), rows), offset + 4
    width, base = _WHOLE_HEAD.unpack_from(data, offset)
    offset += _WHOLE_HEAD.size
    codes = np.frombuffer(data, f"<u{width}", rows, offset)
    column = (codes.astype(np.int32) + (base - 1)).astype("<f4")
    column.view("<u4")[codes == 0] = NAN_BITS
    return column, offset + width * rows


def _pack_whole(column: NDArray[np.float32], bits: NDArray[np.uint32]) -> tuple[Bytes, ...] | None:
    """The column as codes: 0 is missing, others are whole numbers from the least on; None if it is not so."""
    with np.errstate(invalid="ignore"):  # of NaN
        least, most = float(np.fmin.reduce(column)), float(np.fmax.reduce(column))
        if not (least > -_WHOLE_LIMIT and most < _WHOLE_LIMIT and most - least + 1 < _escape(2)):
            return None
        base = int(least)
        width = 1 if most - least + 1 <= _escape(1) else 2
        codes = np.fmax(column - np.float32(base - 1), np.float32(0)).astype(f"<u{width}")  # 0 for any NaN
    back = codes.astype(np.float32)
    back += np.float32(base - 1)
    same = np.count_nonzero(back.view(np.uint32) == bits)  # -0.0 has bits of its own
    if same < len(column) and same + np.count_nonzero(bits == NAN_BITS) < len(column):
        return None
    return bytes([_WHOLE]), _WHOLE_HEAD.pack(width, base), codes.data


def pack_words(words: Iterable[tuple[Sequence[object], NDArray[np.integer]]]) -> tuple[str, bytes]:
    """The values of each column, and which of them each row has."""
    columns = list(words)
    codes = (part for values, rows in columns for part in _pack_codes(rows, len(values)))
    return pack_json([values for values, _ in columns]), b"".join(codes)


def used_words(values: Sequence[str], rows: NDArray[np.integer]) -> tuple[Sequence[str], NDArray[np.integer]]:
    """The values of a column, and which of them each row has, without values that no row has."""
    used = np.bincount(rows, minlength=len(values)) > 0
    if used.all():
        return values, rows
    return [values[place] for place in np.flatnonzero(used).tolist()], (np.cumsum(used) - 1)[rows]


def unpack_words(texts: str, text_rows: bytes, rows: int) -> list[tuple[list[str], NDArray[np.int64]]]:
    """The inverse of `pack_words`: the values of each column, and which of them each row has."""
    return list(zip(json.loads(texts), unpack_integers(text_rows, rows), strict=True))


def spread_words(
    words: Sequence[tuple[Sequence[str], NDArray[np.integer]]], rows: int
) -> NDArray[np.object_]:
    """Columns of texts as object [rows, columns]; rows with the same text share one object."""
    starts = np.cumsum([0, *(len(values) for values, _ in words)]).tolist()
    values = np.array([value for values, _ in words for value in values], object)
    places = [which + start for (_, which), start in zip(words, starts, strict=False)]
    return np.asarray(values[beside(places, rows, np.intp)])


def pack_ids(ids: NDArray[np.bytes_]) -> tuple[str, str]:
    """What all ids (one at least) begin with, and the JSON array of what follows."""
    begin = _common(ids[0], ids[-1])
    if not np.strings.startswith(ids, begin).all():
        listed = ids.tolist()
        begin = _common(min(listed), max(listed))
    prefix, width = begin.decode(), ids.itemsize - len(begin)
    rest = np.empty(len(ids), f"V{width}")
    rest[:] = _part(np.ascontiguousarray(ids), len(begin), width, ids.itemsize)
    if b'"' in (said := rest.tobytes()) or b"\\" in said:
        return prefix, pack_json([each.decode()[len(begin) :] for each in ids.tolist()])
    text = np.full((len(ids), width + 3), _QUOTE, np.uint8)
    text[:, -2] = 0
    text[:, -1] = _COMMA
    flat = text.ravel()
    _part(flat, 1, width, width + 3)[:] = rest
    ended = (flat == 0).view(np.uint8)
    flat += _SPACE * ended
    ended[1:] &= ~ended[:-1]
    flat += (_QUOTE - _SPACE) * ended
    return prefix, f"[{flat[:-1].tobytes().decode()}]"


def unpack_ids(prefix: str, rest: str, rows: int) -> NDArray[np.bytes_]:
    """The inverse of `pack_ids`, as bytes (S) [rows]."""
    if "\\" in rest:
        return np.array([prefix + each for each in json.loads(rest)], np.bytes_)
    text = np.frombuffer(rest.encode().translate(_UNQUOTE), np.uint8, offset=1)
    start, stride = len(prefix), len(text) // rows
    width = stride - 3
    ids = np.empty(rows, f"S{max(1, start + width)}")
    ids[:] = prefix.encode()
    if width:
        _part(ids, start, width, ids.itemsize)[:] = _part(text, 1, width, stride)
    return ids


def _common(one: bytes, other: bytes) -> bytes:
    """What both begin with."""
    differs = (place for place, (left, right) in enumerate(zip(one, other, strict=False)) if left != right)
    return one[: next(differs, min(len(one), len(other)))]


def _part(array: NDArray[Any], start: int, width: int, stride: int) -> NDArray[np.void]:
    """Of each `stride` bytes of an array those at `start`, `width` of them; not copied."""
    kind = np.dtype({"names": ["part"], "formats": [f"V{width}"], "offsets": [start], "itemsize": stride})
    part: NDArray[np.void] = array.view(kind)["part"]
    return part


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
