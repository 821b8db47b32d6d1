"""Steps on numbers that are more than a scale: imputers, indicators, thresholds, plain functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto

from trainer.errors import ExportError
from trainer.graph import ML
from trainer.steps.scaled import Scaled, read_scaler

if TYPE_CHECKING:
    from trainer.graph import Graph
    from trainer.steps.tensor import Tensor


def write_imputer(graph: Graph, step: Any, tensor: Tensor) -> str:
    """SimpleImputer, its indicators included."""
    numbers = tensor.numbers(graph)
    filled = graph.add(
        "Imputer",
        numbers,
        domain=ML,
        imputed_value_floats=read_fill(step).astype(np.float32).tolist(),
        replaced_value_float=float(step.missing_values),
    )
    if not step.add_indicator or not len(step.indicator_.features_):
        return filled
    return graph.add("Concat", filled, _write_missing(graph, step.indicator_, numbers, tensor.width), axis=1)


def read_fill(step: Any) -> Any:
    """What a fitted SimpleImputer puts for missing numbers, float64 [columns]."""
    fill = np.asarray(step.statistics_, np.float64)
    if np.isnan(fill).any():
        raise ExportError(
            f"column {int(np.argmax(np.isnan(fill))) + 1} of SimpleImputer is missing in every row, which "
            "drops it; leave the field out"
        )
    return fill


def write_missing_indicator(graph: Graph, step: Any, tensor: Tensor) -> str:
    """MissingIndicator."""
    return _write_missing(graph, step, tensor.numbers(graph), tensor.width)


def _write_missing(graph: Graph, step: Any, numbers: str, width: int) -> str:
    picked = graph.columns(numbers, tuple(int(column) for column in step.features_), width)
    if np.isnan(step.missing_values):
        return graph.cast_float(graph.add("IsNaN", picked))
    wanted = graph.constant(np.array(step.missing_values, np.float32))
    return graph.cast_float(graph.add("Equal", picked, wanted))


def write_scaler(graph: Graph, step: Any, tensor: Tensor) -> str:
    """Any of the scalers, clipped where so fitted."""
    read = read_scaler(step, tensor.width)
    every = tuple(range(tensor.width))
    missing = np.full(tensor.width, np.nan)
    scaled = Scaled(tensor.kind, every, missing, *read).write_tensor(graph, tensor.name)
    if not getattr(step, "clip", False):
        return scaled
    bounds = step.feature_range if type(step).__name__ == "MinMaxScaler" else (-1.0, 1.0)
    least, most = (graph.constant(np.array(bound, np.float32)) for bound in bounds)
    return graph.add("Clip", scaled, least, most)


def write_binarizer(graph: Graph, step: Any, tensor: Tensor) -> str:
    """Binarizer. scikit-learn rounds the threshold to float32 as well."""
    threshold = graph.constant(np.array(step.threshold, np.float32))
    return graph.cast_float(graph.add("Greater", tensor.numbers(graph), threshold))


FUNCTIONS: dict[Any, tuple[str, ...]] = {
    np.abs: ("Abs",),
    np.log: ("Log",),
    np.log1p: ("Add 1", "Log"),
    np.sqrt: ("Sqrt",),
    np.square: ("Square",),
}
"""What FunctionTransformer may call, and the nodes that say the same in float64."""


def write_function(graph: Graph, step: Any, tensor: Tensor) -> str:
    """FunctionTransformer with one of `FUNCTIONS`, or with none."""
    if step.func is None:
        return tensor.numbers(graph)
    name = graph.add("Cast", tensor.name, to=TensorProto.DOUBLE)
    for operator in FUNCTIONS[step.func]:
        if operator == "Add 1":
            name = graph.add("Add", name, graph.constant(np.array(1.0)))
        elif operator == "Square":
            name = graph.add("Mul", name, name)
        else:
            name = graph.add(operator, name)
    return graph.cast_float(name)
