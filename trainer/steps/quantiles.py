"""QuantileTransformer to the uniform distribution: where a number stands among the fitted quantiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.graph import Graph
    from trainer.steps.tensor import Tensor


def write_quantiles(graph: Graph, step: Any, tensor: Tensor) -> str:
    """Append the nodes, in float64 as scikit-learn's; return the features' name, float32 [rows, columns].

    As scikit-learn does, the mean of two interpolations: where several quantiles are one number, one of them
    takes the last and the other the first.
    """
    quantiles = np.asarray(step.quantiles_, np.float64).T
    references = np.asarray(step.references_, np.float64)
    exact = graph.add("Cast", tensor.name, to=TensorProto.DOUBLE)
    deep = graph.add("Reshape", exact, graph.constant(np.array([-1, tensor.width, 1], np.int64)))
    edges = graph.constant(quantiles)
    least, most = (graph.constant(quantiles[:, place]) for place in (0, -1))
    last, first = (
        _write_interpolation(graph, exact, _count(graph, graph.add(op, deep, edges)), quantiles, references)
        for op in ("GreaterOrEqual", "Greater")
    )
    both = graph.add("Mul", graph.add("Add", last, first), graph.constant(np.array(0.5)))
    at_most = graph.add("LessOrEqual", exact, least)
    above = graph.add("Where", at_most, graph.constant(references[0]), both)
    at_least = graph.add("GreaterOrEqual", exact, most)
    return graph.cast_float(graph.add("Where", at_least, graph.constant(references[-1]), above))


def _count(graph: Graph, reached: str) -> str:
    """How many of the quantiles are reached, int64 [rows, columns]."""
    ones = graph.add("Cast", reached, to=TensorProto.INT64)
    return graph.add("ReduceSum", ones, graph.constant(np.array([2], np.int64)), keepdims=0)


def _write_interpolation(
    graph: Graph, exact: str, count: str, quantiles: NDArray[np.float64], references: NDArray[np.float64]
) -> str:
    """A straight line in the stretch between the quantile reached last and the next one."""
    columns, stretches = quantiles.shape[0], quantiles.shape[1] - 1
    rise, run = np.diff(references), np.diff(quantiles)
    slopes = np.divide(rise, run, out=np.zeros_like(run), where=run > 0)
    one, none, end = (graph.constant(np.array(value, np.int64)) for value in (1, 0, stretches - 1))
    stretch = graph.add("Clip", graph.add("Sub", count, one), none, end)
    place = graph.add("Add", stretch, graph.constant(np.arange(columns) * stretches))
    start, slope = (
        graph.add("Gather", graph.constant(table.reshape(-1)), place, axis=0)
        for table in (np.ascontiguousarray(quantiles[:, :-1]), slopes)
    )
    base = graph.add("Gather", graph.constant(references), stretch, axis=0)
    return graph.add("Add", base, graph.add("Mul", graph.add("Sub", exact, start), slope))
