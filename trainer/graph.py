"""Writing an ONNX graph node by node, so that the same parts give the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sidecar.session import DECISION, FEATURES, INTEGERS, NUMBERS, SCORE, TEXTS
from trainer.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sidecar.signature import Signature

IR_VERSION = 10
OPSETS = {"": 18, "ai.onnx.ml": 3}
ML = "ai.onnx.ml"


class Graph:
    """Nodes in the order they run, and the constants they use. Tensors are known by their names."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._names = 0

    def _name(self, hint: str) -> str:
        self._names += 1
        return f"{hint}_{self._names}"

    def add(self, op: str, *inputs: str, domain: str = "", output: str = "", **attributes: Any) -> str:
        """Append one node with one output, and return the output's name (`output`, or a fresh one)."""
        output = output or self._name(op)
        node = helper.make_node(op, list(inputs), [output], name=output, domain=domain, **attributes)
        self._nodes.append(node)
        return output

    def constant(self, value: NDArray[Any]) -> str:
        """Add a constant tensor and return its name."""
        name = self._name("constant")
        self._constants.append(
            numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
        )
        return name

    def inline(self, model: onnx.ModelProto, source: str, output: str) -> str:
        """Append what `output` of `model` needs, fed from tensor `source`, and return the output's name.

        `model` has one input. Nodes that `output` does not depend on stay out. Raises ExportError for a node
        with a graph of its own, such as a loop, which the admission check would refuse.
        """
        names = {model.graph.input[0].name: source, "": ""}
        constants = {constant.name: constant for constant in model.graph.initializer}
        for node in _needed(model.graph.node, output):
            if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
                raise ExportError(
                    f"it converts to a graph with a {node.op_type} in it, which is not admitted"
                )
            for name in node.input:
                if name in constants and name not in names:
                    names[name] = self.constant(numpy_helper.to_array(constants[name]))
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.ClearField("doc_string")
            for name in node.output:
                names[name] = self._name(node.op_type) if name else ""
            copy.name = names[next(filter(None, node.output))]
            copy.input[:] = [names[name] for name in node.input]
            copy.output[:] = [names[name] for name in node.output]
            self._nodes.append(copy)
        return names[output]

    def finish(self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> bytes:
        """The checked and serialised model. Equal calls give equal bytes."""
        graph = helper.make_graph(self._nodes, "pipeline", inputs, outputs, self._constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))


def _needed(nodes: Sequence[onnx.NodeProto], output: str) -> list[onnx.NodeProto]:
    wanted, needed = {output}, []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            needed.append(node)
            wanted.update(node.input)
    return needed[::-1]


def block_inputs(signature: Signature) -> list[onnx.ValueInfoProto]:
    """The inputs of an exported graph: one block per kind that has fields."""
    kinds = {
        NUMBERS: (TensorProto.FLOAT, len(signature.numbers)),
        INTEGERS: (TensorProto.INT64, len(signature.integers)),
        TEXTS: (TensorProto.STRING, len(signature.texts)),
    }
    return [
        helper.make_tensor_value_info(name, kind, ["rows", width])
        for name, (kind, width) in kinds.items()
        if width
    ]


def features_info(width: int) -> onnx.ValueInfoProto:
    """What goes by the name "features": float32 [rows, width]."""
    return helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["rows", width])


def score_info() -> onnx.ValueInfoProto:
    """What goes by the name "score": float32 [rows]."""
    return helper.make_tensor_value_info(SCORE, TensorProto.FLOAT, ["rows"])


def decision_info() -> onnx.ValueInfoProto:
    """What goes by the name "decision": bool [rows]."""
    return helper.make_tensor_value_info(DECISION, TensorProto.BOOL, ["rows"])
