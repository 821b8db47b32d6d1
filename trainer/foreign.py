"""An ONNX graph that somebody else exported: what it takes and gives, and how it is written into ours.

It is brought to our operator sets as protocol buffers alone; nothing of it is run here. The admission check's
child process is the first to do that.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto

from sidecar.admission_check import check_facts
from sidecar.errors import AdmissionError, BundleError
from sidecar.onnx_graph import read_graph
from sidecar.session import DECISION, FEATURES, INTEGERS, NUMBERS, SCORE, TEXTS
from trainer.decision import write_flat
from trainer.errors import ExportError
from trainer.opsets import in_our_opsets, opsets_of
from trainer.probability import Probability, find_probability
from trainer.tensors import MATRIX, dtype_of, shape_of, shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sidecar.signature import Signature
    from trainer.graph import Graph


@dataclass(frozen=True, eq=False)
class Foreign:
    """A given graph in our operator sets.

    file: its name. data: as it was given. takes: the names of its inputs. label: the output that says the
    likelier class, "" without one. features: the width of its own "features", 0 without. decides: whether it
    has a "decision" of its own.
    """

    file: str
    data: bytes
    model: onnx.ModelProto
    takes: tuple[str, ...]
    probability: Probability
    label: str
    features: int
    decides: bool

    def write_score(self, graph: Graph, sources: Mapping[str, str]) -> str:
        """Append what the score needs; return its name, float32 [rows, 1]. sources: see `Graph.inline`."""
        found = graph.inline(self.model, sources, self.probability.tensor, fold=False)
        if self.probability.columns == 1:
            return found
        if self.probability.columns == 0:
            return graph.add("Reshape", found, graph.constant(np.array([-1, 1], np.int64)))
        return graph.add("Gather", found, graph.constant(np.array([1], np.int64)), axis=1)

    def to_json(self) -> dict[str, Any]:
        """What the manifest says."""
        given = onnx.load_from_string(self.data)
        return {
            "file": self.file,
            "sha256": hashlib.sha256(self.data).hexdigest(),
            "producer": f"{given.producer_name} {given.producer_version}".strip(),
            "opsets": opsets_of(given),
        }


@dataclass(frozen=True)
class OwnDecision:
    """The rule of a graph that decides by itself. sources: see `Graph.inline`."""

    foreign: Foreign
    sources: Mapping[str, str]

    def write(self, graph: Graph, score: str, _: str) -> None:
        """Append the nodes from `score`, float32 [rows, 1], and the graph's inputs to both outputs."""
        write_flat(graph, score, SCORE)
        write_flat(graph, graph.inline(self.foreign.model, self.sources, DECISION, fold=False), DECISION)

    def to_json(self) -> dict[str, Any]:
        """What the manifest says."""
        return {"rule": "own"}


def read_features_model(path: Path, width: int, score: str | None = None) -> Foreign:
    """The graph at `path`, which takes float32 [rows, width] features.

    score: the output with the probability; None where there is but one that may be it.
    Raises ExportError, AdmissionError or BundleError saying what does not fit and what to do.
    """
    data, model = _read(path)
    inputs = _inputs(model)
    if len(inputs) != 1:
        raise ExportError(
            f"{path.name} takes {shown(inputs)}; with a recipe it must take one input, float32 [rows, "
            f"{width}]: the recipe's features"
        )
    (only,) = inputs
    _check_input(path.name, only, TensorProto.FLOAT, width, "the recipe's features")
    return _foreign(path.name, data, model, (only.name,), score)


def read_raw_model(path: Path, signature: Signature, score: str | None = None) -> Foreign:
    """The graph at `path`, which takes raw blocks of the signature by their names. Otherwise as above."""
    data, model = _read(path)
    blocks = {
        NUMBERS: (TensorProto.FLOAT, len(signature.numbers)),
        INTEGERS: (TensorProto.INT64, len(signature.integers)),
        TEXTS: (TensorProto.STRING, len(signature.texts)),
    }
    needed = {name: (kind, width) for name, (kind, width) in blocks.items() if width}
    wanted = ", ".join(f"{name} {dtype_of(kind)} [rows, {width}]" for name, (kind, width) in needed.items())
    inputs = _inputs(model)
    for one in inputs:
        if one.name not in needed:
            raise ExportError(
                f"{path.name} takes {shown(inputs)}; the signature's raw blocks are {wanted}. Name its "
                "inputs so, or give --recipe when it takes the features of a recipe"
            )
        _check_input(path.name, one, *needed[one.name], "the signature's raw block")
    return _foreign(path.name, data, model, tuple(one.name for one in inputs), score)


def _read(path: Path) -> tuple[bytes, onnx.ModelProto]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror}") from error
    try:
        facts = read_graph(data)
    except BundleError as error:
        raise BundleError(f"{path.name}: {error}") from error
    try:
        check_facts(path.name, facts)
    except AdmissionError as error:
        raise AdmissionError(
            f"{error} (torch.onnx: external_data=False)" if facts.external_data else str(error)
        ) from error
    return data, in_our_opsets(path.name, onnx.load_from_string(data))


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    constants = {one.name for one in model.graph.initializer}
    return [one for one in model.graph.input if one.name not in constants]


def _check_input(file: str, given: onnx.ValueInfoProto, kind: int, width: int, what: str) -> None:
    wanted = f"{dtype_of(kind)} [rows, {width}], {what}"
    shape = shape_of(given)
    if given.type.tensor_type.elem_type != kind or shape is None or len(shape) != MATRIX:
        raise ExportError(f"input {shown([given])} of {file} must be {wanted}; export it so")
    rows, columns = shape
    if rows is not None:
        raise ExportError(
            f"input {shown([given])} of {file} is fixed to {rows} rows; export it with a dynamic first axis"
        )
    if columns not in (None, width):
        raise ExportError(f"input {shown([given])} of {file} must be {wanted}; fit it on these columns")


def _foreign(
    file: str, data: bytes, model: onnx.ModelProto, takes: tuple[str, ...], score: str | None
) -> Foreign:
    outputs = {one.name: one for one in model.graph.output}
    labels = [
        one.name
        for one in model.graph.output
        if one.type.tensor_type.elem_type == TensorProto.INT64 and len(shape_of(one) or ()) == 1
    ]
    own = shape_of(outputs[FEATURES]) if FEATURES in outputs else None
    return Foreign(
        file=file,
        data=data,
        model=model,
        takes=takes,
        probability=find_probability(file, model, score),
        label=labels[0] if len(labels) == 1 else "",
        features=(own[1] or 0) if own and len(own) == MATRIX else 0,
        decides=DECISION in outputs and outputs[DECISION].type.tensor_type.elem_type == TensorProto.BOOL,
    )
