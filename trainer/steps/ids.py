"""Categories as whole numbers: what every encoder compares and looks up instead of the categories.

All texts of a record become numbers in one node, whatever encoders come behind it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.errors import ExportError
from trainer.graph import ML

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trainer.graph import Graph

Key = Any
"""One category as the encoder sees it: text, an integer, a number, or a tuple of texts for a cross."""


@dataclass(frozen=True)
class Ids:
    """An int64 tensor [rows, columns] in which a category has the same number in every column.

    of: the number of a key. size: numbers lie in 0 ... size - 1, and 0 is whatever is no key; None when they
    may be any integer. width: columns.
    """

    name: str
    of: Callable[[Key], int]
    size: int | None
    width: int


def text_ids(graph: Graph, tensor: str, width: int, keys: Iterable[str]) -> Ids:
    """Number the texts of a whole block."""
    known = sorted(set(keys))
    numbers = dict(zip(known, range(1, len(known) + 1), strict=True))
    name = _encode(graph, tensor, "keys_strings", known, numbers.values())
    return Ids(name, numbers.__getitem__, len(known) + 1, width)


def integer_ids(tensor: str, width: int) -> Ids:
    """Integers are numbers of their own."""
    return Ids(tensor, int, None, width)


def number_ids(graph: Graph, tensor: str, width: int, keys: Iterable[float]) -> Ids:
    """Number float32 categories, and missing where it is a key."""
    given = {float(np.float32(key)) for key in keys}
    known = sorted(key for key in given if not math.isnan(key))
    numbers = dict(zip(known, range(1, len(known) + 1), strict=True))
    name = _encode(graph, tensor, "keys_floats", known, numbers.values())
    missing = len(known) + 1
    if len(known) < len(given):  # the encoder's own table does not find NaN
        absent = graph.add("IsNaN", tensor)
        name = graph.add("Where", absent, graph.constant(np.array(missing, np.int64)), name)

    def of(key: float) -> int:
        return missing if math.isnan(key) else numbers[float(np.float32(key))]

    return Ids(name, of, missing + 1, width)


def crossed_ids(graph: Graph, ids: Ids, columns: Sequence[int]) -> Ids:
    """Number the combinations of several columns of `ids` in one column; the keys are tuples.

    Raises ExportError when there are more combinations than int64 can count.
    """
    assert ids.size is not None
    if ids.size ** len(columns) >= 2**63:
        raise ExportError(f"a cross of {len(columns)} fields with {ids.size:,} categories is too large")
    weights = [ids.size**place for place in reversed(range(len(columns)))]
    picked = graph.add("Gather", ids.name, graph.constant(np.array(columns, np.int64)), axis=1)
    name = graph.add("MatMul", picked, graph.constant(np.array(weights, np.int64).reshape(-1, 1)))

    def of(key: tuple[Key, ...]) -> int:
        return sum(weight * ids.of(part) for weight, part in zip(weights, key, strict=True))

    return Ids(name, of, None, 1)


def dense_ids(graph: Graph, ids: Ids, keys: Iterable[Key]) -> Ids:
    """The same categories numbered without gaps, so that a table can hold them."""
    if ids.size is not None:
        return ids
    known = sorted({ids.of(key) for key in keys})
    numbers = dict(zip(known, range(1, len(known) + 1), strict=True))
    name = _encode(graph, ids.name, "keys_int64s", known, numbers.values())
    return Ids(name, lambda key: numbers[ids.of(key)], len(known) + 1, ids.width)


def _encode(graph: Graph, tensor: str, attribute: str, keys: list[Any], numbers: Iterable[int]) -> str:
    nothing: dict[str, list[Any]] = {"keys_strings": [""], "keys_floats": [0.0], "keys_int64s": [0]}
    tables: dict[str, Any] = {attribute: keys or nothing[attribute], "values_int64s": list(numbers) or [0]}
    return graph.add("LabelEncoder", tensor, domain=ML, default_int64=0, **tables)
