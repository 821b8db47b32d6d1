"""Finds the probability of the positive label among the outputs of a given ONNX model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnx import TensorProto

from sidecar.session import DECISION, FEATURES, SCORE
from trainer.errors import ExportError
from trainer.tensors import MATRIX, dtype_of, shape_of

if TYPE_CHECKING:
    import onnx

_CLASSES = [0, 1]


@dataclass(frozen=True)
class Probability:
    """Where the probability of the positive label is.

    tensor: float32 [rows, columns], or [rows] where columns is 0. output: of the given file, by name.
    """

    tensor: str
    columns: int
    output: str


def find_probability(file: str, model: onnx.ModelProto, score: str | None) -> Probability:
    """Where it is. file: the model's name. score: the output that has it, None where only one may.

    Raises ExportError saying what each output is instead.
    """
    outputs = [one for one in model.graph.output if one.name not in (FEATURES, DECISION)]
    if score is not None:
        outputs = [one for one in model.graph.output if one.name == score]
        if not outputs:
            names = ", ".join(one.name for one in model.graph.output)
            raise ExportError(f"{file} has no output '{score}'; it has {names}")
    read = {one.name: _read_output(model, one) for one in outputs}
    found = [one for one in read.values() if isinstance(one, Probability)]
    named = [one for one in found if one.output == SCORE] or found
    if len(named) == 1:
        return named[0]
    if named:
        names = ", ".join(one.output for one in named)
        raise ExportError(
            f"{file} gives several outputs that may be the probability: {names}; name one with --score"
        )
    reasons = "; ".join(f"'{name}' {reason}" for name, reason in read.items())
    raise ExportError(
        f"{file} gives no probability: {reasons}. Needed: float32 [rows], [rows, 1], or [rows, 2] of "
        "classes 0 and 1"
    )


def _read_output(model: onnx.ModelProto, output: onnx.ValueInfoProto) -> Probability | str:
    """Where the probability is in this output, or why it is not there."""
    if output.type.WhichOneof("value") == "sequence_type":
        return _read_zip_map(model, output.name)
    if output.type.tensor_type.elem_type != TensorProto.FLOAT:
        return f"is {dtype_of(output.type.tensor_type.elem_type)}"
    shape = shape_of(output)
    if shape is None:
        return "has no known rank; declare its shape"
    if len(shape) == 1:
        return Probability(output.name, 0, output.name)
    if len(shape) == MATRIX and shape[1] in (1, 2):
        return Probability(output.name, shape[1], output.name)
    columns = "an unknown number of" if len(shape) == MATRIX and shape[1] is None else f"{shape[1]}"
    return f"has {columns} columns" if len(shape) == MATRIX else f"has {len(shape)} axes"


def _read_zip_map(model: onnx.ModelProto, output: str) -> Probability | str:
    """A ZipMap makes a list of dictionaries of a matrix; the matrix is taken in its place."""
    node = next((node for node in model.graph.node if output in node.output), None)
    if node is None or node.op_type != "ZipMap":
        return "is a list that no ZipMap makes"
    classes = [list(one.ints) for one in node.attribute if one.name == "classlabels_int64s"]
    if classes != [_CLASSES]:
        return "is of other classes than 0 and 1; fit the model on labels 0 and 1"
    return Probability(node.input[0], len(_CLASSES), output)
