"""The raw blocks, as the start of everything that a graph computes."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from sidecar.session import INTEGERS, TEXTS
from sidecar.signature import Kind
from trainer.steps.ids import integer_ids, text_ids

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from sidecar.signature import Signature
    from trainer.graph import Graph
    from trainer.steps.ids import Ids


class Raw:
    """Blocks by their kind.

    numbers: the name of the usable numbers. texts: every text that an encoder knows.
    """

    def __init__(self, graph: Graph, signature: Signature, numbers: str, texts: AbstractSet[str]) -> None:
        self._graph = graph
        self._texts = texts
        self._blocks = {
            Kind.NUMBER: (numbers, len(signature.numbers)),
            Kind.INTEGER: (INTEGERS, len(signature.integers)),
            Kind.TEXT: (TEXTS, len(signature.texts)),
        }

    @property
    def categories(self) -> int:
        """How many numbers the texts of the block have."""
        return len(self._texts) + 1

    def block(self, kind: Kind) -> tuple[str, int]:
        """The name and the width of a block."""
        return self._blocks[kind]

    def ids(self, kind: Kind) -> Ids:
        """The categories of a block of texts or of integers as numbers."""
        return self._text_ids if kind is Kind.TEXT else integer_ids(*self.block(kind))

    @cached_property
    def _text_ids(self) -> Ids:
        return text_ids(self._graph, *self.block(Kind.TEXT), self._texts)
