"""What the steps of one set of columns become, so that it can be written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from trainer.graph import Graph
    from trainer.steps.raw import Raw


class Form(Protocol):
    """Columns of one block and what becomes of them."""

    @property
    def group(self) -> Hashable:
        """Forms of equal groups can be merged, and then go through the same nodes."""

    @property
    def texts(self) -> set[str]:
        """The texts that it must tell apart."""

    @classmethod
    def merge(cls, parts: Sequence[Any]) -> Self:
        """The features of all `parts`, which are of one group, in order."""

    def write(self, graph: Graph, raw: Raw) -> str:
        """Append the nodes from the raw blocks; return the features' name, float32 [rows, features]."""
