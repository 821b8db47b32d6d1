"""ONNX files as other people export them, for the small task."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from trainer.export import compute_features, export_transform
from trainer.transform import fit_transform

WIDTH = 6
"""Features of the small task's recipes."""


def features_of(task, snapshot, recipe="line"):
    transform = fit_transform(
        task.candidates[recipe].transform, task.signature, snapshot.blocks, snapshot.label
    )
    return compute_features(export_transform(transform), snapshot.blocks)


def fitted(task, snapshot, rows=slice(None), *, trees=False):
    model = GradientBoostingClassifier(n_estimators=10, random_state=0) if trees else LogisticRegression()
    return model.fit(features_of(task, snapshot)[rows], snapshot.label[rows].astype(int))


def skl(model, path: Path, **options) -> Path:
    """What skl2onnx makes of a fitted model; without options with its ZipMap."""
    takes = np.zeros((1, model.n_features_in_), np.float32)
    path.write_bytes(to_onnx(model, takes, options={id(model): options}).SerializeToString())
    return path


def graph(
    path: Path,
    nodes=(("Sigmoid", ["logit"], ["score"]),),
    *,
    takes=(("x", TensorProto.FLOAT, ["rows", WIDTH]),),
    gives=(("score", TensorProto.FLOAT, ["rows", 1]),),
    opset=18,
    ml=3,
    **constants,
) -> Path:
    """A graph of a linear layer on the first input, and then `nodes`."""
    width = (takes[0][2] or [WIDTH])[-1]
    constants = {"weights": np.linspace(-1, 1, width, dtype=np.float32)[:, None], **constants}
    linear = helper.make_node("MatMul", [takes[0][0], "weights"], ["logit"])
    made = helper.make_model(
        helper.make_graph(
            [linear, *(helper.make_node(op, *rest[:2], **dict(*rest[2:])) for op, *rest in nodes)],
            "given",
            [helper.make_tensor_value_info(*one) for one in takes],
            [helper.make_tensor_value_info(*one) for one in gives],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", ml)],
        ir_version=9,
        producer_name="tests",
    )
    path.write_bytes(made.SerializeToString())
    return path


def edited(path: Path, change) -> Path:
    model = onnx.load_from_string(path.read_bytes())
    change(model)
    path.write_bytes(model.SerializeToString())
    return path
