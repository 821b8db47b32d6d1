"""Encoders of categories: ordinal, one-hot, target, and whatever column-wise steps stand around them.

What a fitted encoder makes of a category is not computed anew: it is asked for each category that it knows,
and for one that it does not. Infrequent categories, dropped ones and missing ones come out as fitted.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from sidecar.signature import Kind
from trainer.errors import ExportError
from trainer.steps.ids import crossed_ids, dense_ids, text_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer.graph import Graph
    from trainer.steps.cross import Cross
    from trainer.steps.ids import Ids, Key
    from trainer.steps.raw import Raw

MOST_ENTRIES = 1 << 22
"""Of one table; 16 MiB of float32."""
UNKNOWN_TEXT = "\0"
"""No request brings it: NUL is refused at the edge."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """What an encoder makes of columns of categories.

    kind: of the block they come from. columns: of that block. keys: of each column. tables: of each column,
    float32 [1 + keys, features]; row 0 is what an unknown category becomes. hot: each row of a table has at
    most one 1, among zeros. crossed: the block's columns that are crossed into the only one.
    """

    kind: Kind
    columns: tuple[int, ...]
    keys: tuple[tuple[Key, ...], ...]
    tables: tuple[NDArray[np.float32], ...]
    hot: bool
    crossed: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """How many features it gives."""
        return sum(table.shape[1] for table in self.tables)

    @property
    def group(self) -> tuple[Any, ...]:
        """Forms of equal groups can be merged."""
        return (type(self), self.kind, self.hot, self.crossed)

    @property
    def texts(self) -> set[str]:
        """The texts that it must tell apart."""
        if self.kind is not Kind.TEXT:
            return set()
        keys = chain.from_iterable(self.keys)
        return set(chain.from_iterable(keys) if self.crossed else keys)

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """All columns of `parts`, which are of one group, in order."""
        return cls(
            parts[0].kind,
            tuple(chain.from_iterable(part.columns for part in parts)),
            tuple(chain.from_iterable(part.keys for part in parts)),
            tuple(chain.from_iterable(part.tables for part in parts)),
            parts[0].hot,
            parts[0].crossed,
        )

    def write(self, graph: Graph, raw: Raw) -> str:
        """Append the nodes from the block to the features; return their name, float32 [rows, features]."""
        if self.kind is Kind.TEXT and len(self.columns) * raw.categories > MOST_ENTRIES and not self.crossed:
            return self._write_columns(graph, raw)
        ids = raw.ids(self.kind)
        return self.write_ids(graph, crossed_ids(graph, ids, self.crossed) if self.crossed else ids)

    def _write_columns(self, graph: Graph, raw: Raw) -> str:
        """With a dictionary for each column: more nodes, and no table of every category for every column."""
        block, width = raw.block(self.kind)
        made = []
        for column, keys, table in zip(self.columns, self.keys, self.tables, strict=True):
            ids = text_ids(graph, graph.columns(block, (column,), width), 1, keys)
            made.append(Encoded(self.kind, (0,), (keys,), (table,), self.hot).write_ids(graph, ids))
        return graph.concat(made)

    def write_ids(self, graph: Graph, ids: Ids) -> str:
        """The same from numbered categories."""
        if not self.hot:
            values = [table[:, 0] for table in self.tables]
            return self._look_up(graph, ids, values)
        # The feature that each key turns on, counted from 1 within its column; 0 for none.
        turned_on = [np.where(table.any(axis=1), np.argmax(table, axis=1) + 1, 0) for table in self.tables]
        widths = [table.shape[1] for table in self.tables]
        owners = np.repeat(np.arange(len(widths)), widths)
        if all(_one_to_one(features, width) for features, width in zip(turned_on, widths, strict=True)):
            found, columns = ids.name, np.array(self.columns, np.int64)[owners]
            wanted = [
                ids.of(keys[int(np.argmax(features == number)) - 1])
                for keys, features, width in zip(self.keys, turned_on, widths, strict=True)
                for number in range(1, width + 1)
            ]
        else:  # several categories share a feature, or unknown ones have one
            found, columns = self._look_up(graph, ids, turned_on), owners
            wanted = list(chain.from_iterable(range(1, width + 1) for width in widths))
        picked = graph.add("Gather", found, graph.constant(columns), axis=1)
        same = graph.add("Equal", picked, graph.constant(np.array(wanted, np.int64)))
        return graph.cast_float(same)

    def _look_up(self, graph: Graph, ids: Ids, values: list[NDArray[Any]]) -> str:
        """One value for each column: tables laid end to end, and one Gather."""
        numbered = dense_ids(graph, ids, chain.from_iterable(self.keys))
        assert numbered.size is not None
        size = numbered.size
        if size * len(self.columns) > MOST_ENTRIES:
            raise ExportError(
                f"{size:,} categories in {len(self.columns)} fields need too large a table; "
                "group rare categories before they are sent"
            )
        table = np.concatenate([np.full(size, column[0]) for column in values])
        for place, (keys, column) in enumerate(zip(self.keys, values, strict=True)):
            table[[place * size + numbered.of(key) for key in keys]] = column[1:]
        name = numbered.name
        if self.columns != tuple(range(ids.width)):
            name = graph.add("Gather", name, graph.constant(np.array(self.columns, np.int64)), axis=1)
        if len(self.columns) > 1:
            name = graph.add("Add", name, graph.constant(np.arange(len(self.columns)) * size))
        return graph.add("Gather", graph.constant(table), name, axis=0)


def read_encoded(
    steps: Sequence[Any],
    encoder: Any,
    kind: Kind,
    columns: Sequence[int],
    *,
    extra: Sequence[Key] = (),
    cross: Cross | None = None,
) -> Encoded:
    """Ask fitted `steps`, of which `encoder` is one, what they make of every category.

    extra: categories that the steps before the encoder turn into others. cross: the step before the encoder.
    """
    keys: list[list[Key]]
    if cross is None:
        keys = [[*dict.fromkeys([*extra, *known.tolist()])] for known in encoder.categories_]
    else:
        keys = [[cross.split(known) for known in encoder.categories_[0].tolist()]]
    widths = encoder_widths(encoder)
    made = transform_dense(steps, _questions(keys, kind, crossed=cross is not None))
    ends = np.cumsum(widths)
    tables = tuple(
        made[: 1 + len(known), end - width : end].astype(np.float32)
        for known, end, width in zip(keys, ends, widths, strict=True)
    )
    hot = type(encoder).__name__ == "OneHotEncoder"
    if cross is None:
        return Encoded(kind, tuple(columns), tuple(map(tuple, keys)), tables, hot)
    return Encoded(kind, (0,), tuple(map(tuple, keys)), tables, hot, tuple(columns))


def encoder_widths(encoder: Any) -> list[int]:
    """How many features a fitted encoder makes of each column."""
    if type(encoder).__name__ != "OneHotEncoder":
        return [1] * len(encoder.categories_)
    widths = [len(categories) for categories in encoder.categories_]
    infrequent = getattr(encoder, "infrequent_categories_", None) or [None] * len(widths)
    dropped = [None] * len(widths) if encoder.drop_idx_ is None else encoder.drop_idx_
    return [
        width - (0 if rare is None else len(rare) - 1) - (drop is not None)
        for width, rare, drop in zip(widths, infrequent, dropped, strict=True)
    ]


def transform_dense(steps: Sequence[Any], raw: NDArray[Any]) -> NDArray[np.float64]:
    """What fitted steps make of raw rows one after the other, float64 [rows, features]."""
    made: Any = raw
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in steps:
            made = step.transform(made)
    return np.asarray(made.toarray() if hasattr(made, "toarray") else made, np.float64)


def _questions(keys: Sequence[Sequence[Key]], kind: Kind, *, crossed: bool) -> NDArray[Any]:
    """Raw rows: the first of unknown categories, then one for each key; short columns end with unknown."""
    if crossed:
        fields = len(keys[0][0])
        return np.array([(UNKNOWN_TEXT,) * fields, *keys[0]], object).reshape(-1, fields)
    rows = 1 + max(map(len, keys))
    dtype = {Kind.TEXT: object, Kind.INTEGER: np.int64, Kind.NUMBER: np.float32}[kind]
    asked: NDArray[Any] = np.empty((rows, len(keys)), dtype)
    for place, known in enumerate(keys):
        asked[:, place] = UNKNOWN_TEXT if kind is Kind.TEXT else next(n for n in count() if n not in known)
        asked[1 : 1 + len(known), place] = known
    return asked


def _one_to_one(features: NDArray[np.int64], width: int) -> bool:
    """Whether each of `width` features stands for exactly one key, and none for unknown categories."""
    named = features[features > 0].tolist()
    return bool(features[0] == 0) and sorted(named) == list(range(1, width + 1))
