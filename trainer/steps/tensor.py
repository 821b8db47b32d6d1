"""What flows from one step to the next while a chain of steps is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.signature import Kind

if TYPE_CHECKING:
    from trainer.graph import Graph


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph, [rows, width]: float32 where kind is NUMBER, int64 where it is INTEGER."""

    name: str
    kind: Kind
    width: int

    def numbers(self, graph: Graph) -> str:
        """Its name as float32; exact for integers up to 2^24, which the fit has made sure of."""
        return self.name if self.kind is Kind.NUMBER else graph.cast_float(self.name)
