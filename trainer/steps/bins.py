"""KBinsDiscretizer: which bin a number is in, as a number or one-hot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.graph import Graph
    from trainer.steps.tensor import Tensor


def write_bins(graph: Graph, step: Any, tensor: Tensor) -> str:
    """Append nodes that count the edges at or below each number; return the features' name, float32.

    An edge is the least float32 not below scikit-learn's float64 edge, which every float32 compares alike.
    """
    inner = [_ceil32(np.asarray(edges[1:-1], np.float64)) for edges in step.bin_edges_]
    most = max(len(edges) for edges in inner)
    padded = np.full((tensor.width, most), np.nan, np.float32)  # at or below nothing
    for column, edges in enumerate(inner):
        padded[column, : len(edges)] = edges
    shape = graph.constant(np.array([-1, tensor.width, 1], np.int64))
    deep = graph.add("Reshape", tensor.numbers(graph), shape)
    reached = graph.add("GreaterOrEqual", deep, graph.constant(padded))
    # A sum of ones is the same in any order.
    axis = graph.constant(np.array([2], np.int64))
    bins = graph.add("ReduceSum", graph.cast_float(reached), axis, keepdims=0)
    if step.encode == "ordinal":
        return bins
    widths = [len(edges) + 1 for edges in inner]
    owners = np.repeat(np.arange(tensor.width), widths)
    wanted = np.concatenate([np.arange(width) for width in widths]).astype(np.float32)
    picked = graph.add("Gather", bins, graph.constant(owners), axis=1)
    return graph.cast_float(graph.add("Equal", picked, graph.constant(wanted)))


def _ceil32(values: NDArray[np.float64]) -> NDArray[np.float32]:
    near = values.astype(np.float32)
    return np.where(near < values, np.nextafter(near, np.float32(np.inf)), near)
