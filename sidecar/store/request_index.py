"""Which row a request is: the join of the log's tables, by hashes of the ids that are then compared.

A table has a slot for each value of the hash's first bits, and in it a row. Rows whose slot another request
has go into a second table, by another hash, and so on; most need one look. That takes half the time of
sorting hashes and looking them up in order, and that takes a quarter of looking up texts.
"""

from __future__ import annotations

import secrets
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_ROW = -1
_WORD_BYTES = 8
_HASH_BITS = 64
_FOLD = np.uint64(32)
_ODD = np.uint64(0x9E37_79B9_7F4A_7C15)


def same_ids(one: NDArray[np.bytes_], other: NDArray[np.bytes_]) -> bool:
    """Whether both have the same ids in the same order and width; compared as plain bytes, which is quick."""
    if one.dtype != other.dtype or len(one) != len(other):
        return False
    left, right = (np.ascontiguousarray(ids).view(np.uint8) for ids in (one, other))
    return np.array_equal(left, right)


class RequestIndex:
    """The rows of these request ids: bytes (S) [n], n < 2^31; an id may have several."""

    def __init__(self, request_ids: NDArray[np.bytes_]) -> None:
        self._ids = request_ids

    @property
    def request_ids(self) -> NDArray[np.bytes_]:
        """The ids, row by row."""
        return self._ids

    @cached_property
    def _placed(self) -> _Placed:
        return _place(self._ids)

    @cached_property
    def first_rows(self) -> NDArray[np.int64]:
        """The first row of each id, in the order of rows."""
        return np.flatnonzero(self._is_first)

    @property
    def different(self) -> int:
        """How many different ids there are."""
        return len(self.first_rows)

    @property
    def _is_first(self) -> NDArray[np.bool_]:
        return np.asarray(self._placed.first == np.arange(len(self._ids)))

    def taken(self, rows: NDArray[np.int64]) -> RequestIndex:
        """The index of the ids at these rows; costs little where they are all rows in another order."""
        index = RequestIndex(self._ids.take(rows))
        if len(rows) == len(self._ids) == self.different:
            place = np.full(len(rows) + 1, NO_ROW, np.int32)  # the last one is what NO_ROW becomes
            place[rows] = np.arange(len(rows))
            tables = [place.take(table) for table in self._placed.tables]
            index._placed = _Placed(self._placed.key, tables, np.arange(len(rows)))
        return index

    def numbers(self) -> NDArray[np.int64]:
        """A number for each row, from 0 to below `different`; equal for equal ids."""
        return np.asarray((np.cumsum(self._is_first) - 1)[self._placed.first])

    def rows_of(self, request_ids: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """The first row of each of these, or NO_ROW. int64 [m]."""
        rows = np.full(len(request_ids), NO_ROW, np.int64)
        if not len(self._ids):
            return rows
        wanted, ids = np.arange(len(request_ids)), request_ids
        hashes = _hash(ids, self._placed.key)
        for table in self._placed.tables:
            found = table.take(_slots(hashes, len(table)))
            same = self._ids.take(found) == ids  # where NO_ROW takes one, another
            other = np.flatnonzero(~same & (found != NO_ROW))
            rows[wanted[same]] = found[same]
            wanted, ids, hashes = wanted[other], ids[other], hashes[other] * _ODD
        return rows


class _Placed(NamedTuple):
    """key: of the hash. tables: int32, the row of each slot, or NO_ROW. first: of each row's id."""

    key: int
    tables: list[NDArray[np.int32]]
    first: NDArray[np.int64]


def _place(ids: NDArray[np.bytes_]) -> _Placed:
    key = secrets.randbits(_HASH_BITS) | 1
    first = np.arange(len(ids))
    tables = []
    rows, hashes = np.arange(len(ids), dtype=np.int32), _hash(ids, key)
    while len(rows):  # each table takes one row at least, even if all hashes were the same
        table = np.full(2 << len(rows).bit_length(), NO_ROW, np.int32)
        slots = _slots(hashes, len(table))
        table[slots[::-1].copy()] = rows[::-1].copy()  # the first one is assigned last, and stays
        holder = table.take(slots)
        other = np.flatnonzero(holder != rows)
        rows, holder = rows[other], holder[other]
        same = ids.take(rows) == ids.take(holder)
        first[rows[same]] = holder[same]
        tables.append(table)
        rows, hashes = rows[~same], hashes[other[~same]] * _ODD
    return _Placed(key, tables, first)


def _slots(hashes: NDArray[np.uint64], slots: int) -> NDArray[np.intp]:
    """The slot of each, by its first bits. slots: a power of two, two at least."""
    return (hashes >> np.uint64(_HASH_BITS + 1 - slots.bit_length())).astype(np.intp)


def _hash(ids: NDArray[np.bytes_], key: int) -> NDArray[np.uint64]:
    """The same for the same id, however wide the array; key: odd."""
    words = -(-ids.itemsize // _WORD_BYTES)
    table = np.ascontiguousarray(ids, f"S{words * _WORD_BYTES}").view(np.uint64).reshape(len(ids), words)
    hashes = np.zeros(len(ids), np.uint64)
    for place in range(words):
        word = table[:, place] * np.uint64(pow(key, place + 1, 1 << _HASH_BITS))
        word ^= word >> _FOLD
        word *= _ODD
        word ^= word >> _FOLD
        hashes += word  # a word of padding adds nothing
    return hashes
