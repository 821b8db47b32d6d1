"""Writing an ONNX graph node by node, so that the same parts give the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sidecar.session import DECISION, FEATURES, INTEGERS, NUMBERS, SCORE, TEXTS, open_session
from trainer.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sidecar.signature import Signature

IR_VERSION = 10
OPSETS = {"": 20, "ai.onnx.ml": 3}  # 20 has StringSplit
ML = "ai.onnx.ml"


class Graph:
    """Nodes in the order they run, and the constants they use. Tensors are known by their names.

    What was added before is not added again: the same operator on the same inputs is one node, equal
    constants are one tensor, and a node whose inputs are all constants is computed here, not in every run.
    """

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._placed: dict[tuple[bytes, int], list[str]] = {}
        self._known: dict[bytes, str] = {}
        self._renamed: dict[str, str] = {}
        self._names = 0

    def _name(self, hint: str) -> str:
        self._names += 1
        return f"{hint}_{self._names}"

    def add(self, op: str, *inputs: str, domain: str = "", output: str = "", **attributes: Any) -> str:
        """Append one node with one output, and return the output's name (`output`, or a fresh one)."""
        node = helper.make_node(op, list(inputs), [output], domain=domain, **attributes)
        return self._place(node)[0]

    def add_many(self, op: str, *inputs: str, outputs: int, domain: str = "", **attributes: Any) -> list[str]:
        """Append one node with several outputs, and return their names."""
        return self._place(helper.make_node(op, list(inputs), [""] * outputs, domain=domain, **attributes))

    def _place(self, node: onnx.NodeProto, *, fold: bool = True) -> list[str]:
        """Append `node`, or find what makes it needless; return its outputs' names. Outputs named "" get one.

        Only nodes that give a graph's output bring a name; these are always appended.
        """
        names = list(node.output)
        node.input[:] = [self._renamed.get(name, name) for name in node.input]
        node.ClearField("output")
        node.ClearField("name")
        node.ClearField("doc_string")
        key = (node.SerializeToString(deterministic=True), len(names))
        if names == [""]:
            if node.op_type == "Identity":
                return [node.input[0]]
            if (fold or node.op_type == "Constant") and all(name in self._constants for name in node.input):
                return [self.constant(_compute(node, [self._constants[name] for name in node.input]))]
        if not any(names):
            if key in self._placed:
                return [self._renamed.get(name, name) for name in self._placed[key]]
            names = self._placed[key] = [self._name(node.op_type) for _ in names]
        node.output[:] = names
        node.name = names[0]
        self._nodes.append(node)
        return names

    def name_output(self, tensor: str, output: str) -> None:
        """Let `tensor` be the graph's output of that name, without a node that copies it where possible."""
        if not any(tensor in node.output for node in self._nodes):
            self.add("Identity", tensor, output=output)
            return
        self._renamed[tensor] = output
        for node in self._nodes:
            node.input[:] = [output if name == tensor else name for name in node.input]
            node.output[:] = [output if name == tensor else name for name in node.output]

    def constant(self, value: NDArray[Any]) -> str:
        """Add a constant tensor and return its name."""
        tensor = numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape))
        key = tensor.SerializeToString(deterministic=True)
        if key not in self._known:
            tensor.name = self._known[key] = self._name("constant")
            self._constants[tensor.name] = tensor
        return self._known[key]

    def cast_float(self, tensor: str) -> str:
        """`tensor` as float32."""
        return self.add("Cast", tensor, to=TensorProto.FLOAT)

    def columns(self, tensor: str, columns: Sequence[int], width: int) -> str:
        """Some columns of `tensor`, which has `width` of them."""
        if tuple(columns) == tuple(range(width)):
            return tensor
        return self.add("Gather", tensor, self.constant(np.array(columns, np.int64)), axis=1)

    def look_up(self, table: NDArray[Any], places: str) -> str:
        """The entries of `table` at int64 `places`, as int64."""
        found = self.add("Gather", self.constant(table), places, axis=0)
        return found if table.dtype == np.int64 else self.add("Cast", found, to=TensorProto.INT64)

    def concat(self, tensors: Sequence[str]) -> str:
        """The columns of all `tensors`, in order."""
        return tensors[0] if len(tensors) == 1 else self.add("Concat", *tensors, axis=1)

    def inline(
        self, model: onnx.ModelProto, sources: Mapping[str, str], output: str, *, fold: bool = True
    ) -> str:
        """Append what `output` of `model` needs, and return the output's name.

        sources: the tensor that feeds each input of `model`. fold: compute what depends on constants alone at
        once; without, nothing of `model` is run here. Nodes that `output` does not depend on stay out.
        Raises ExportError for a node with a graph of its own, such as a loop.
        """
        names = {**sources, "": ""}
        constants = {constant.name: constant for constant in model.graph.initializer}
        for node in _needed(model.graph.node, output):
            if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
                raise ExportError(f"a {node.op_type} with a graph of its own is not taken over")
            for name in node.input:
                if name in constants and name not in names:
                    names[name] = self.constant(numpy_helper.to_array(constants[name]))
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.input[:] = [names[name] for name in node.input]
            copy.output[:] = [""] * len(node.output)
            names.update(zip(node.output, self._place(copy, fold=fold), strict=True))
            names[""] = ""
        return names[output]

    def finish(self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> bytes:
        """The checked and serialised model. Equal calls give equal bytes."""
        used = {name for node in self._nodes for name in node.input}
        constants = [constant for name, constant in self._constants.items() if name in used]
        graph = helper.make_graph(self._nodes, "pipeline", inputs, outputs, constants)
        model = _model(graph)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))


def _compute(node: onnx.NodeProto, constants: Sequence[onnx.TensorProto]) -> NDArray[Any]:
    """What `node` makes of constants, computed by the runtime that would compute it in every run."""
    alone = onnx.NodeProto()
    alone.CopyFrom(node)
    alone.output[:] = ["made"]
    graph = helper.make_graph([alone], "constant", [], [onnx.ValueInfoProto(name="made")], constants)
    made: NDArray[Any] = open_session(_model(graph).SerializeToString()).run(["made"], {})[0]
    return made


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


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
