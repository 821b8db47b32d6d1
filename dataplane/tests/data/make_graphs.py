"""Write the graphs that the Rust tests run: `python make_graphs.py`, in this folder.

Those with three inputs take numbers `x` (may be missing) and `amount`, integer `trigger` and text `colour`.
score = sigmoid(2 x + 0.01 amount - 1 + (1 if colour is "red")), x missing counts as 0; decision is
score > 0.5.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

FOLDER = Path(__file__).parent
TRIGGER = 13

NUMBERS = helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["rows", 2])
INTEGERS = helper.make_tensor_value_info("integers", TensorProto.INT64, ["rows", 1])
TEXTS = helper.make_tensor_value_info("texts", TensorProto.STRING, ["rows", 1])
EXTRA = helper.make_tensor_value_info("extra", TensorProto.FLOAT, ["rows"])
SCORE = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows"])
DOUBLE_SCORE = helper.make_tensor_value_info("score", TensorProto.DOUBLE, ["rows"])
DECISION = helper.make_tensor_value_info("decision", TensorProto.BOOL, ["rows"])

CONSTANTS: dict[str, np.ndarray] = {
    "zero": np.array(0, np.float32),
    "half": np.array(0.5, np.float32),
    "weights": np.array([[2.0], [0.01], [1.0]], np.float32),
    "bias": np.array([-1.0], np.float32),
    "flat": np.array([-1], np.int64),
    "one": np.array([1], np.int64),
    "first": np.array([0], np.int64),
    "trigger": np.array(TRIGGER, np.int64),
    "far": np.array(7, np.int64),
    "table": np.array([0], np.int64),
}


def features(columns: int | str) -> ValueInfoProto:
    """The output `features` with so many columns."""
    return helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", columns])


def score() -> list[NodeProto]:
    """From all inputs to features, score and decision."""
    return [
        helper.make_node("IsNaN", ["numbers"], ["absent"]),
        helper.make_node("Where", ["absent", "zero", "numbers"], ["present"]),
        helper.make_node(
            "LabelEncoder",
            ["texts"],
            ["red"],
            domain="ai.onnx.ml",
            keys_strings=["red"],
            values_floats=[1.0],
            default_float=0.0,
        ),
        helper.make_node("Concat", ["present", "red"], ["features"], axis=1),
        helper.make_node("MatMul", ["features", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
        helper.make_node("Reshape", ["probability", "flat"], ["score"]),
        helper.make_node("Greater", ["score", "half"], ["decision"]),
    ]


def score_or_fail() -> list[NodeProto]:
    """As `score`, but for the trigger it looks outside of a table, which ends the run."""
    trouble = [
        helper.make_node("Equal", ["integers", "trigger"], ["hit"]),
        helper.make_node("Cast", ["hit"], ["hit_number"], to=TensorProto.INT64),
        helper.make_node("Mul", ["hit_number", "far"], ["index"]),
        helper.make_node("Gather", ["table", "index"], ["nil"]),
        helper.make_node("Cast", ["nil"], ["nil_number"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["plain_logit", "nil_number"], ["logit"]),
    ]
    nodes = score()
    nodes[5] = helper.make_node("Add", ["product", "bias"], ["plain_logit"])
    return nodes[:6] + trouble + nodes[6:]


def pass_on() -> list[NodeProto]:
    """The numbers are the features, and x is the score: not a number where x is missing."""
    return [
        helper.make_node("Identity", ["numbers"], ["features"]),
        helper.make_node("Gather", ["numbers", "first"], ["column"], axis=1),
        helper.make_node("Reshape", ["column", "flat"], ["score"]),
        helper.make_node("Greater", ["score", "half"], ["decision"]),
    ]


def double_score() -> list[NodeProto]:
    """As `pass_on`, with a score of another type than agreed."""
    nodes = pass_on()
    nodes[2] = helper.make_node("Reshape", ["column", "flat"], ["single"])
    nodes[3] = helper.make_node("Greater", ["single", "half"], ["decision"])
    return [*nodes, helper.make_node("Cast", ["single"], ["score"], to=TensorProto.DOUBLE)]


def sum_extra() -> list[NodeProto]:
    """As `pass_on`, with an input that no signature has."""
    nodes = pass_on()
    nodes[2] = helper.make_node("Reshape", ["column", "flat"], ["x"])
    nodes.insert(3, helper.make_node("Add", ["x", "extra"], ["score"]))
    return nodes


def repeat_features() -> list[NodeProto]:
    """As `pass_on`, with the features repeated as often as the first row's integer says."""
    return [
        helper.make_node("Gather", ["integers", "first"], ["first_row"], axis=0),
        helper.make_node("Reshape", ["first_row", "flat"], ["times"]),
        helper.make_node("Concat", ["one", "times"], ["repeats"], axis=0),
        helper.make_node("Tile", ["numbers", "repeats"], ["features"]),
        *pass_on()[1:],
    ]


def write(
    name: str, nodes: list[NodeProto], inputs: list[ValueInfoProto], outputs: list[ValueInfoProto]
) -> None:
    """Write one graph, checked."""
    used = {source for node in nodes for source in node.input}
    constants = [numpy_helper.from_array(value, key) for key, value in CONSTANTS.items() if key in used]
    model = helper.make_model(
        helper.make_graph(nodes, name, inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)],
        ir_version=10,
    )
    onnx.checker.check_model(model)
    (FOLDER / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def main() -> None:
    """Write all graphs."""
    three = [NUMBERS, INTEGERS, TEXTS]
    agreed = [features(2), SCORE, DECISION]
    write("behaving", score(), three, [features(3), SCORE, DECISION])
    write("raising", score_or_fail(), three, [features(3), SCORE, DECISION])
    write("passing_on", pass_on(), [NUMBERS], agreed)
    write("repeating", repeat_features(), [NUMBERS, INTEGERS], [features("columns"), SCORE, DECISION])
    write("double_score", double_score(), [NUMBERS], [features(2), DOUBLE_SCORE, DECISION])
    write("extra_input", sum_extra(), [NUMBERS, EXTRA], agreed)
    write("no_decision", pass_on(), [NUMBERS], agreed[:2])
    (FOLDER / "not_a_graph.onnx").write_bytes(b"this is no graph")
    (FOLDER / "empty.onnx").write_bytes(b"")


if __name__ == "__main__":
    main()
