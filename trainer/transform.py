"""From raw blocks to features: fitted with scikit-learn, then written into a graph.

scikit-learn's own features are used for nothing but the parity check: models are fitted on, and served,
what the graph computes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from sidecar.session import FEATURES, INTEGERS, NUMBERS, TEXTS
from sidecar.signature import Kind, Outside, Signature
from trainer.errors import ExportError
from trainer.graph import ML, OPSETS
from trainer.refusal import refuse_step
from trainer.seed import seed
from trainer.utility import usable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.signature import Blocks
    from trainer.graph import Graph
    from trainer.task import Columns, Transform

_INPUTS = {Kind.NUMBER: NUMBERS, Kind.INTEGER: INTEGERS, Kind.TEXT: TEXTS}
_TYPES = {Kind.NUMBER: FloatTensorType, Kind.INTEGER: Int64TensorType, Kind.TEXT: StringTensorType}


@dataclass(frozen=True)
class _Part:
    """One fitted set of columns; step is None for passthrough. indices: its columns of the kind's block."""

    kind: Kind
    indices: tuple[int, ...]
    step: Any
    names: tuple[str, ...]


@dataclass(frozen=True)
class FittedTransform:
    """A transform whose steps are fitted. Made by `fit_transform`."""

    signature: Signature
    parts: tuple[_Part, ...]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name for each feature, in order; the part's position is added where a name occurs twice."""
        named = [(place, name) for place, part in enumerate(self.parts) for name in part.names]
        names = [name for _, name in named]
        return tuple(f"{name}@{place}" if names.count(name) > 1 else name for place, name in named)

    def reference(self, blocks: Blocks) -> NDArray[np.float64]:
        """What scikit-learn itself makes of raw rows, float64 [n, features]: the yardstick of parity."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.hstack([_apply(part, _input(part, self.signature, blocks)) for part in self.parts])

    def write(self, graph: Graph) -> str:
        """Append the nodes from the raw blocks to "features"; return the name of the usable numbers.

        Raises ExportError naming the step that does not convert.
        """
        numbers = _write_bounds(graph, self.signature)
        tensors = {Kind.NUMBER: numbers, Kind.INTEGER: INTEGERS, Kind.TEXT: TEXTS}
        outputs = [
            _write_part(graph, part, tensors[part.kind], _width(self.signature, part.kind))
            for part in self.parts
        ]
        if len(outputs) == 1:
            graph.add("Identity", outputs[0], output=FEATURES)
        else:
            graph.add("Concat", *outputs, axis=1, output=FEATURES)
        return numbers


def fit_transform(
    transform: Transform, signature: Signature, blocks: Blocks, label: NDArray[np.float64]
) -> FittedTransform:
    """Fit a clone of every step on raw rows. Numbers out of bounds count as missing where so declared.

    Raises ExportError naming the step that cannot be fitted, or is known to be exported wrongly.
    """
    return FittedTransform(
        signature, tuple(_fit(columns, signature, blocks, label) for columns in transform.columns)
    )


def _fit(columns: Columns, signature: Signature, blocks: Blocks, label: NDArray[np.float64]) -> _Part:
    kind = signature.by_name[columns.fields[0]].kind
    block = [field.name for field in _fields(signature, kind)]
    indices = tuple(block.index(name) for name in columns.fields)
    if columns.step == "passthrough":
        if kind is Kind.TEXT:
            raise ExportError(f"{_place(columns.fields)}: text cannot pass through; use an encoder")
        return _Part(kind, indices, None, columns.fields)
    refuse_step(columns.step, _place(columns.fields))
    step = seed(clone(columns.step))
    part = _Part(kind, indices, step, ())
    raw = _input(part, signature, blocks)
    try:
        step.fit(raw, label)
        width = _apply(part, raw[:1]).shape[1]
    except (ValueError, TypeError) as error:
        raise ExportError(f"{_place(columns.fields)}: {_name(step)} cannot be fitted: {error}") from error
    return _Part(kind, indices, step, _names(step, columns.fields, width))


def _names(step: Any, fields: tuple[str, ...], width: int) -> tuple[str, ...]:
    try:
        names = tuple(str(name) for name in step.get_feature_names_out(list(fields)))
    except (AttributeError, ValueError):
        names = ()
    if len(names) == width:
        return names
    return fields if len(fields) == width else tuple(f"{fields[0]}_{index}" for index in range(width))


def _input(part: _Part, signature: Signature, blocks: Blocks) -> NDArray[Any]:
    if part.kind is Kind.NUMBER:
        return usable(signature, blocks)[:, part.indices]
    return (blocks.integers if part.kind is Kind.INTEGER else blocks.texts)[:, part.indices]


def _apply(part: _Part, raw: NDArray[Any]) -> NDArray[np.float64]:
    made = raw if part.step is None else part.step.transform(raw)
    return np.asarray(made.toarray() if hasattr(made, "toarray") else made, np.float64)


def _write_bounds(graph: Graph, signature: Signature) -> str:
    """Numbers outside bounds become NaN, for the fields declared so; no node when there are none."""
    fields = [field if field.outside is Outside.MISSING else None for field in signature.numbers]
    lower = np.array([-np.inf if f is None or f.lower is None else f.lower for f in fields], np.float32)
    upper = np.array([np.inf if f is None or f.upper is None else f.upper for f in fields], np.float32)
    outside = []
    if np.isfinite(lower).any():
        outside.append(graph.add("Less", NUMBERS, graph.constant(lower)))
    if np.isfinite(upper).any():
        outside.append(graph.add("Greater", NUMBERS, graph.constant(upper)))
    if not outside:
        return NUMBERS
    wrong = outside[0] if len(outside) == 1 else graph.add("Or", *outside)
    return graph.add("Where", wrong, graph.constant(np.array(np.nan, np.float32)), NUMBERS)


def _write_part(graph: Graph, part: _Part, tensor: str, width: int) -> str:
    if part.kind is Kind.TEXT and type(part.step) is OrdinalEncoder:
        return _write_ordinal(graph, part, tensor)
    if part.indices != tuple(range(width)):
        tensor = graph.add("Gather", tensor, graph.constant(np.array(part.indices, np.int64)), axis=1)
    if part.step is None:
        return tensor if part.kind is Kind.NUMBER else graph.add("Cast", tensor, to=TensorProto.FLOAT)
    where = f"{_place(part.names)}: {_name(part.step)}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = convert_sklearn(
                part.step,
                initial_types=[(_INPUTS[part.kind], _TYPES[part.kind]([None, len(part.indices)]))],
                target_opset=OPSETS,
            )
        made = graph.inline(model, tensor, model.graph.output[0].name)
    except Exception as error:  # converters raise whatever their author thought of
        text = str(error).strip().split("\n", 1)[0]
        raise ExportError(f"{where} cannot be exported ({text}); use a step that can") from error
    kind = model.graph.output[0].type.tensor_type.elem_type
    if kind == TensorProto.STRING:
        raise ExportError(f"{where} gives text; end with an encoder")
    return made if kind == TensorProto.FLOAT else graph.add("Cast", made, to=TensorProto.FLOAT)


def _write_ordinal(graph: Graph, part: _Part, tensor: str) -> str:
    """The codes of text columns in two nodes a column; skl2onnx writes four, and a row feels it."""
    codes = [
        graph.add(
            "LabelEncoder",
            graph.add("Gather", tensor, graph.constant(np.array([index], np.int64)), axis=1),
            domain=ML,
            keys_strings=categories.tolist(),
            values_floats=[float(code) for code in range(len(categories))],
            default_float=float(part.step.unknown_value),
        )
        for index, categories in zip(part.indices, part.step.categories_, strict=True)
    ]
    return codes[0] if len(codes) == 1 else graph.add("Concat", *codes, axis=1)


def _fields(signature: Signature, kind: Kind) -> tuple[Any, ...]:
    blocks = {Kind.NUMBER: signature.numbers, Kind.INTEGER: signature.integers, Kind.TEXT: signature.texts}
    return blocks[kind]


def _width(signature: Signature, kind: Kind) -> int:
    return len(_fields(signature, kind))


def _place(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return f"step for {shown}" + (" ..." if len(names) > 3 else "")  # noqa: PLR2004 - enough to find it


def _name(step: Any) -> str:
    if isinstance(step, Pipeline):
        return " > ".join(_name(inner) for _, inner in step.steps)
    return type(step).__name__
