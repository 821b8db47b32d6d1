"""Rows of the log that lie together, and their columns, each unpacked when it is asked for."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np

from sidecar.errors import SignatureMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from sidecar.codec import Columns
    from sidecar.domain import ModelId

_NOWHERE = -1
Within: TypeAlias = "Mapping[str, tuple[int, int]]"
"""The first and the last value, by column, of the rows that are asked for."""
EVERYTHING: Within = {}


class PackedColumns(Mapping[str, "NDArray[Any]"]):
    """Columns of `rows` rows by name. Each is unpacked anew whenever it is asked for, and not kept.

    So who takes one column after another never has the whole log unpacked beside what they make of it.
    """

    def __init__(
        self,
        names: Iterable[str],
        rows: int,
        unpack: Callable[[str], NDArray[Any]],
        kept: NDArray[np.bool_] | None = None,
    ) -> None:
        """unpack: gives the column of a name; of its rows those `kept` count, all when not given."""
        self.rows = rows if kept is None else int(np.count_nonzero(kept))
        self._names = tuple(names)
        self._unpack = unpack
        self._kept = kept

    def within(self, ranges: Within) -> Self | None:
        """The rows whose values are in these ranges, of columns which need not be among the names.

        None when there is no such row.
        """
        inside = np.ones(self.rows, np.bool_)
        for column, (first, last) in ranges.items():
            values = self._unpack(column)
            inside &= (values >= first) & (values <= last)
        if inside.all():
            return self
        return self.only(inside) if inside.any() else None

    def only(self, kept: NDArray[np.bool_]) -> Self:
        """The rows that a mask selects."""
        return type(self)(self._names, len(kept), self.__getitem__, kept)

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._names:
            raise KeyError(name)
        values = self._unpack(name)
        return values if self._kept is None else values[self._kept]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Rows that came into the log together. champion: of scores; `model` is the candidate then."""

    model: ModelId
    champion: ModelId | None
    columns: PackedColumns


def joined_columns(parts: Iterable[Mapping[str, NDArray[Any]]], empty: Mapping[str, NDArray[Any]]) -> Columns:
    """All rows of the parts in one; `empty` has the columns with no rows, for when there are none."""
    listed = [empty, *parts]
    return {name: np.concatenate([part[name] for part in listed]) for name in empty}


def chosen_columns(parts: Sequence[PackedColumns], empty: Columns, rows: NDArray[np.int64]) -> Columns:
    """The same of `rows` only, in their order: counted through the parts, each at most once.

    Raises SignatureMismatchError when a block of theirs has not as many columns as that of `empty`.
    """
    ends = np.cumsum([0, *(part.rows for part in parts)]).tolist()
    place = np.full(ends[-1], _NOWHERE)
    place[rows] = np.arange(len(rows))
    moves = [_Move.to_places(place[start:end]) for start, end in itertools.pairwise(ends)]
    whole: Columns = {}
    for name, none in empty.items():
        column = whole[name] = np.empty((len(rows), *none.shape[1:]), none.dtype)
        for part, move in zip(parts, moves, strict=True):
            values = part[name]
            if values.shape[1:] != none.shape[1:]:
                raise SignatureMismatchError(
                    f"logged rows have {values.shape[1]} columns of {name}, {none.shape[1]} are asked for; "
                    "use the task that the champion was trained with"
                )
            column[move.to] = values[move.of]
    return whole


@dataclass(frozen=True, slots=True)
class _Move:
    """Which rows of a part go where."""

    of: slice | NDArray[np.int64]
    to: slice | NDArray[np.int64]

    @classmethod
    def to_places(cls, places: NDArray[np.int64]) -> Self:
        """places: where each row goes, or _NOWHERE."""
        of = np.flatnonzero(places != _NOWHERE)
        to = places[of]
        in_one_piece = len(to) and np.array_equal(to, np.arange(to[0], to[0] + len(to)))
        return cls(
            slice(None) if len(of) == len(places) else of,
            slice(int(to[0]), int(to[0]) + len(to)) if in_one_piece else to,
        )
