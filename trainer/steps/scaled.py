"""Columns that are filled and scaled: (x - offset) * scale, with missing values replaced before.

The common case, and mergeable: however many steps the recipe names, all such columns of a block go through
the same two nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from onnx import TensorProto

from sidecar.signature import Kind
from trainer.graph import ML

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer.graph import Graph
    from trainer.steps.raw import Raw


@dataclass(frozen=True, eq=False)
class Scaled:
    """What becomes of columns of a block of numbers or integers: all arrays float64 [columns].

    fill: what missing becomes; NaN leaves it missing. Integers are never missing.
    """

    kind: Kind
    columns: tuple[int, ...]
    fill: NDArray[np.float64]
    offset: NDArray[np.float64]
    scale: NDArray[np.float64]

    @property
    def group(self) -> tuple[Any, ...]:
        """Forms of equal groups can be merged."""
        return (type(self), self.kind)

    @property
    def texts(self) -> set[str]:
        """None: it takes no texts."""
        return set()

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """All columns of `parts`, which are of one kind, in order."""
        return cls(
            parts[0].kind,
            tuple(chain.from_iterable(part.columns for part in parts)),
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("fill", "offset", "scale")
            ),
        )

    def write(self, graph: Graph, raw: Raw) -> str:
        """Append the nodes from the block; return the result's name, float32."""
        block, width = raw.block(self.kind)
        return self.write_tensor(graph, graph.columns(block, self.columns, width))

    def write_tensor(self, graph: Graph, tensor: str) -> str:
        """The same from a tensor of just these columns."""
        if self.kind is Kind.INTEGER:
            return self._write_integers(graph, tensor)
        if not np.isnan(self.fill).all():
            fill = self.fill.astype(np.float32).tolist()
            tensor = graph.add(
                "Imputer", tensor, domain=ML, imputed_value_floats=fill, replaced_value_float=float("nan")
            )
        return self._write_scale(graph, tensor)

    def _write_scale(self, graph: Graph, tensor: str) -> str:
        if not (self.offset.any() or (self.scale != 1).any()):
            return tensor
        offset, scale = (each.astype(np.float32).tolist() for each in (self.offset, self.scale))
        return graph.add("Scaler", tensor, domain=ML, offset=offset, scale=scale)

    def _write_integers(self, graph: Graph, tensor: str) -> str:
        """In float64, which holds every integer up to 2^53: digits go only when the result is rounded."""
        if not (self.offset.any() or (self.scale != 1).any()):
            return graph.cast_float(tensor)
        exact = graph.add("Cast", tensor, to=TensorProto.DOUBLE)
        centred = graph.add("Sub", exact, graph.constant(self.offset))
        return graph.cast_float(graph.add("Mul", centred, graph.constant(self.scale)))


def read_scaler(step: Any, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The offset and the scale of a fitted scaler of `width` columns, float64 [columns] each."""
    name = type(step).__name__
    offset = spread = None
    if name == "StandardScaler":
        offset, spread = step.mean_ if step.with_mean else None, step.scale_
    elif name == "RobustScaler":
        offset, spread = step.center_, step.scale_
    elif name == "MaxAbsScaler":
        spread = step.scale_
    else:
        assert name == "MinMaxScaler"
        return step.data_min_ - step.feature_range[0] / step.scale_, np.asarray(step.scale_, np.float64)
    return (
        np.zeros(width) if offset is None else np.asarray(offset, np.float64),
        np.ones(width) if spread is None else 1 / np.asarray(spread, np.float64),
    )
