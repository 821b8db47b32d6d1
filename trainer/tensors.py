"""What an ONNX model declares of its inputs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import TensorProto

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

MATRIX = 2
"""Axes of a block of rows."""
_NAMES: dict[int, str] = {TensorProto.FLOAT: "float32", TensorProto.DOUBLE: "float64"}


def shape_of(value: onnx.ValueInfoProto) -> list[int | None] | None:
    """The axes, None for one that may vary; None altogether when even their number is not known."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [axis.dim_value if axis.HasField("dim_value") else None for axis in tensor.shape.dim]


def shown(values: Sequence[onnx.ValueInfoProto]) -> str:
    """Names, types and shapes, for a message."""
    return (
        ", ".join(
            f"'{one.name}' {dtype_of(one.type.tensor_type.elem_type)} {_axes(shape_of(one))}"
            for one in values
        )
        or "no input"
    )


def _axes(shape: list[int | None] | None) -> str:
    if shape is None:
        return "of unknown rank"
    return f"[{', '.join('?' if axis is None else str(axis) for axis in shape)}]"


def dtype_of(kind: int) -> str:
    """The name of an element type, as numpy would say it."""
    if kind in _NAMES:
        return _NAMES[kind]
    return str(TensorProto.DataType.Name(kind)).lower()
