"""Real, tiny bundles written straight in ONNX: one that behaves and three that misbehave on demand.

All share one signature: numbers `x` (may be missing) and `amount`, integer `trigger`, text `colour` (may be
missing). score = sigmoid(2 x + 0.01 amount - 1 + (1 if colour is "red")), x missing counts as 0; decision is
score > 0.5. A misbehaving bundle does so on rows with trigger = TRIGGER, and serves all others; one that
lingers takes its time over every call.
"""

import io
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sidecar.bundle import PIPELINE, REFERENCE, TRANSFORM, Bundle, write_bundle
from sidecar.signature import Field, Kind, Signature

SIGNATURE = Signature(
    (
        Field("x", missing_allowed=True),
        Field("amount", lower=0, upper=1e6, unit="USD"),
        Field("trigger", Kind.INTEGER),
        Field("colour", Kind.TEXT, missing_allowed=True),
    )
)
TRIGGER = -(2**63)
LINGERING_STEPS = 2_000


class Misbehaviour(StrEnum):
    NONE = "none"
    SLEEPS = "sleeps"
    RAISES = "raises"
    DIES = "dies"
    LINGERS = "lingers"


def row(x: float | None = 0.5, amount: float = 10.0, trigger: int = 0, colour: str | None = "red"):
    return {"x": x, "amount": amount, "trigger": trigger, "colour": colour}


def tiny_bundle(
    root: Path,
    version: str = "1",
    *,
    name: str = "tiny",
    weight: float = 2.0,
    misbehaviour: Misbehaviour = Misbehaviour.NONE,
    signature: Signature = SIGNATURE,
    reference: bytes = b"",
    facts: Mapping[str, Any] | None = None,
) -> Bundle:
    """`reference` is the training profile; without one, the bundle has none."""
    return write_bundle(
        root,
        name=name,
        version=version,
        signature=signature,
        feature_names=("x", "amount", "colour=red"),
        files={
            PIPELINE: _graph(weight, misbehaviour, pipeline=True),
            TRANSFORM: _graph(weight, Misbehaviour.NONE, pipeline=False),
            REFERENCE: reference or _no_profile(),
        },
        # Written, not fitted: no event is one that it may know.
        facts={"made_by": "tests", "training": {"last_event_ns": 0}, **(facts or {})},
    )


def _no_profile() -> bytes:
    file = io.BytesIO()
    np.savez(file, rows=np.array([0]))
    return file.getvalue()


def _graph(weight: float, misbehaviour: Misbehaviour, *, pipeline: bool) -> bytes:
    nodes, constants = _features()
    outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", 3])]
    if pipeline:
        trouble, more, extra = _trouble(misbehaviour)
        nodes += [
            *trouble,
            helper.make_node("MatMul", ["features", "weights"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["plain_logit"]),
            helper.make_node("Add", ["plain_logit", extra], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["probability"]),
            helper.make_node("Reshape", ["probability", "flat"], ["score"]),
            helper.make_node("Greater", ["score", "half"], ["decision"]),
        ]
        constants |= more | {
            "weights": np.array([[weight], [0.01], [1.0]], np.float32),
            "bias": np.array([-1.0], np.float32),
            "flat": np.array([-1], np.int64),
            "half": np.array(0.5, np.float32),
        }
        outputs += [
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows"]),
            helper.make_tensor_value_info("decision", TensorProto.BOOL, ["rows"]),
        ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["rows", 2]),
            helper.make_tensor_value_info("integers", TensorProto.INT64, ["rows", 1]),
            helper.make_tensor_value_info("texts", TensorProto.STRING, ["rows", 1]),
        ],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)],
        ir_version=10,
    )
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _features():
    nodes = [
        helper.make_node("IsNaN", ["numbers"], ["absent"]),
        helper.make_node("Where", ["absent", "zero", "numbers"], ["present"]),
        helper.make_node(
            "LabelEncoder",
            ["texts"],
            ["red_number"],
            domain="ai.onnx.ml",
            keys_strings=["red"],
            values_floats=[1.0],
            default_float=0.0,
        ),
        helper.make_node("Concat", ["present", "red_number"], ["features"], axis=1),
    ]
    return nodes, {"zero": np.array(0, np.float32)}


def _trouble(misbehaviour: Misbehaviour):
    """Nodes that give a zero column for ordinary rows, and the trouble for triggered ones."""
    hit = [
        helper.make_node("Equal", ["integers", "trigger_value"], ["hit"]),
        helper.make_node("Cast", ["hit"], ["hit_number"], to=TensorProto.INT64),
    ]
    constants = {"trigger_value": np.array(TRIGGER, np.int64)}
    if misbehaviour is Misbehaviour.NONE:
        return [], {"nothing": np.zeros((1, 1), np.float32)}, "nothing"
    if misbehaviour is Misbehaviour.DIES:
        # The lowest int64 divided by -1 overflows, which the processor answers with SIGFPE.
        nodes = [
            helper.make_node("Neg", ["hit_number"], ["minus_hit"]),
            helper.make_node("Where", ["hit", "minus_hit", "one"], ["divisor"]),
            helper.make_node("Div", ["integers", "divisor"], ["quotient"]),
            helper.make_node("Mul", ["quotient", "zero_integer"], ["nil"]),
        ]
        constants |= {"one": np.array(1, np.int64), "zero_integer": np.array(0, np.int64)}
    elif misbehaviour is Misbehaviour.RAISES:
        # An index outside the table: ONNX Runtime ends the run with an error.
        nodes = [
            helper.make_node("Mul", ["hit_number", "far"], ["index"]),
            helper.make_node("Gather", ["table", "index"], ["nil"]),
        ]
        constants |= {"far": np.array(7, np.int64), "table": np.array([0], np.int64)}
    else:
        # Busy for minutes, a loop of some billion steps; or on every call, for some milliseconds.
        lingers = misbehaviour is Misbehaviour.LINGERS
        nodes = [
            helper.make_node("ReduceMax", ["one_step" if lingers else "hit_number"], ["any_hit"], keepdims=0),
            helper.make_node("Mul", ["any_hit", "steps"], ["trips"]),
            helper.make_node("Loop", ["trips", "", "zero_integer"], ["count"], body=_count()),
            helper.make_node("Mul", ["count", "zero_integer"], ["nothing_counted"]),
            helper.make_node("Mul", ["hit_number", "nothing_counted"], ["nil"]),
        ]
        constants |= {
            "one_step": np.ones((1, 1), np.int64),
            "steps": np.array(LINGERING_STEPS if lingers else 2**40, np.int64),
            "zero_integer": np.array(0, np.int64),
        }
    cast = helper.make_node("Cast", ["nil"], ["nil_number"], to=TensorProto.FLOAT)
    return [*hit, *nodes, cast], constants, "nil_number"


def _count():
    return helper.make_graph(
        [
            helper.make_node("Add", ["so_far", "unit"], ["next"]),
            helper.make_node("Identity", ["condition"], ["condition_out"]),
        ],
        "count",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("condition", TensorProto.BOOL, []),
            helper.make_tensor_value_info("so_far", TensorProto.INT64, []),
        ],
        [
            helper.make_tensor_value_info("condition_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.INT64, []),
        ],
        [numpy_helper.from_array(np.array(1, np.int64), "unit")],
    )
