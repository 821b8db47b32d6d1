"""Integer arithmetic that is written once and means the same on numpy arrays and in a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.graph import Graph

Number = TypeVar("Number", "NDArray[np.int64]", "WholeNumbers")


@dataclass(frozen=True)
class WholeNumbers:
    """An int64 tensor with numpy's operators; divisors are positive constants, and division rounds down.

    natural: known to be 0 or more, where the graph's Div, which rounds towards 0, rounds down by itself.
    """

    graph: Graph
    name: str
    natural: bool = False

    def _node(self, op: str, other: int) -> str:
        return self.graph.add(op, self.name, self.graph.constant(np.array(other, np.int64)))

    def __add__(self, other: int | WholeNumbers) -> WholeNumbers:
        if isinstance(other, WholeNumbers):
            return WholeNumbers(self.graph, self.graph.add("Add", self.name, other.name))
        return WholeNumbers(self.graph, self._node("Add", other)) if other else self

    def __mul__(self, other: int) -> WholeNumbers:
        return WholeNumbers(self.graph, self._node("Mul", other))

    def __mod__(self, other: int) -> WholeNumbers:
        return WholeNumbers(self.graph, self._node("Mod", other), natural=True)

    def __floordiv__(self, other: int) -> WholeNumbers:
        if other == 1:
            return self
        whole = self.name if self.natural else self.graph.add("Sub", self.name, (self % other).name)
        made = WholeNumbers(self.graph, whole)._node("Div", other)
        return WholeNumbers(self.graph, made, self.natural)


def look_up(table: NDArray[Any], place: Number) -> Number:
    """table[place] as int64; place is never negative."""
    if isinstance(place, WholeNumbers):
        return WholeNumbers(place.graph, place.graph.look_up(table, place.name))
    return table[place].astype(np.int64)
