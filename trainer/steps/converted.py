"""Steps that are left to skl2onnx."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from onnx import TensorProto
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType

from trainer.graph import OPSETS

if TYPE_CHECKING:
    from trainer.graph import Graph
    from trainer.steps.tensor import Tensor


def write_converted(graph: Graph, step: Any, tensor: Tensor) -> str:
    """Append what skl2onnx makes of a fitted step on numbers; return its result's name, float32."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = convert_sklearn(
            step, initial_types=[("numbers", FloatTensorType([None, tensor.width]))], target_opset=OPSETS
        )
    output = model.graph.output[0]
    made = graph.inline(model, {model.graph.input[0].name: tensor.numbers(graph)}, output.name)
    return made if output.type.tensor_type.elem_type == TensorProto.FLOAT else graph.cast_float(made)
