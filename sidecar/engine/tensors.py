"""Tensors of the Open Inference Protocol, typed and raw, as columns and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.errors import InvalidRequestError
from sidecar.signature import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sidecar.oip import open_inference_pb2 as oip
    from sidecar.signature import Signature

BYTES = "BYTES"
_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class _Datatype:
    raw: str
    """NumPy's name for the raw form: little-endian, as the protocol has it."""
    contents: str
    """The field of InferTensorContents that holds the typed form."""


_REALS = {"FP32": _Datatype("<f4", "fp32_contents"), "FP64": _Datatype("<f8", "fp64_contents")}
_INTEGERS = {
    "INT8": _Datatype("<i1", "int_contents"),
    "INT16": _Datatype("<i2", "int_contents"),
    "INT32": _Datatype("<i4", "int_contents"),
    "INT64": _Datatype("<i8", "int64_contents"),
}
_DATATYPES = _REALS | _INTEGERS
_ACCEPTED: Mapping[Kind, frozenset[str]] = {
    Kind.NUMBER: frozenset(_DATATYPES),
    Kind.INTEGER: frozenset(_INTEGERS),
    Kind.TEXT: frozenset({BYTES}),
}
PREFERRED: Mapping[Kind, str] = {Kind.NUMBER: "FP32", Kind.INTEGER: "INT64", Kind.TEXT: BYTES}
"""The datatype that metadata advertises for a kind of field."""


def read_columns(
    request: oip.ModelInferRequest, signature: Signature, max_rows: int
) -> dict[str, NDArray[Any] | list[str]]:
    """Read the request's inputs as columns by field name, ready for `Signature.pack_columns`.

    Raises InvalidRequestError naming the input that is unknown, left out, given twice, of another type or
    shape, or whose contents do not have the shape's size.
    """
    inputs = request.inputs
    raws: Sequence[bytes | None] = request.raw_input_contents or [None] * len(inputs)
    if len(raws) != len(inputs):
        raise InvalidRequestError(
            f"{len(raws)} raw_input_contents for {len(inputs)} inputs; send one for each"
        )
    tensors = {tensor.name: (tensor, raw) for tensor, raw in zip(inputs, raws, strict=True)}
    if len(tensors) != len(inputs):
        raise InvalidRequestError("an input is given twice; send one for each field")
    signature.check_names(tensors)
    rows = _rows(inputs[0])
    if rows > max_rows:
        raise InvalidRequestError(f"{rows} rows in one call; send at most {max_rows}")
    columns: dict[str, NDArray[Any] | list[str]] = {}
    for name, (tensor, raw) in tensors.items():
        if _rows(tensor) != rows:
            raise InvalidRequestError(f"field '{name}' has {_rows(tensor)} rows, others have {rows}")
        accepted = _ACCEPTED[signature.by_name[name].kind]
        if tensor.datatype not in accepted:
            raise InvalidRequestError(
                f"field '{name}' has datatype {tensor.datatype[:16]!a}; send {' or '.join(sorted(accepted))}"
            )
        columns[name] = _typed(tensor, rows) if raw is None else _raw(tensor, raw, rows)
    return columns


def _rows(tensor: oip.ModelInferRequest.InferInputTensor) -> int:
    shape = tuple(tensor.shape)
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)) or shape[0] < 1:  # noqa: PLR2004 - two axes
        raise InvalidRequestError(
            f"field '{tensor.name}' has shape {list(shape[:8])}; send [rows] or [rows, 1], rows at least 1"
        )
    return shape[0]


def _typed(tensor: oip.ModelInferRequest.InferInputTensor, rows: int) -> NDArray[Any] | list[str]:
    if tensor.datatype == BYTES:
        texts = tensor.contents.bytes_contents
        _check_count(tensor, len(texts), rows)
        return _decoded(tensor.name, texts)
    datatype = _DATATYPES[tensor.datatype]
    values = getattr(tensor.contents, datatype.contents)
    _check_count(tensor, len(values), rows)
    return np.array(values, np.int64 if tensor.datatype in _INTEGERS else np.float64)


def _raw(tensor: oip.ModelInferRequest.InferInputTensor, raw: bytes, rows: int) -> NDArray[Any] | list[str]:
    if tensor.HasField("contents"):
        raise InvalidRequestError(f"field '{tensor.name}' has contents and raw contents; send one of the two")
    if tensor.datatype == BYTES:
        texts = _split(tensor.name, raw)
        _check_count(tensor, len(texts), rows)
        return _decoded(tensor.name, texts)
    dtype = np.dtype(_DATATYPES[tensor.datatype].raw)
    if len(raw) != rows * dtype.itemsize:
        raise InvalidRequestError(
            f"field '{tensor.name}' has {len(raw)} raw bytes; its shape takes {rows * dtype.itemsize}"
        )
    return np.frombuffer(raw, dtype)


def _check_count(tensor: oip.ModelInferRequest.InferInputTensor, count: int, rows: int) -> None:
    if count != rows:
        raise InvalidRequestError(
            f"field '{tensor.name}' has {count} {tensor.datatype} elements; its shape takes {rows}"
        )


def _split(name: str, raw: bytes) -> list[bytes]:
    """Texts that each follow their length in four bytes."""
    texts: list[bytes] = []
    position = 0
    while position < len(raw):
        start = position + _LENGTH_BYTES
        position = start + int.from_bytes(raw[position:start], "little")
        if position > len(raw) or start > len(raw):
            raise InvalidRequestError(f"field '{name}' has raw bytes that end within a text; send them whole")
        texts.append(raw[start:position])
    return texts


def _decoded(name: str, texts: Sequence[bytes]) -> list[str]:
    decoded: list[str] = []
    for row, text in enumerate(texts):
        try:
            decoded.append(text.decode())
        except UnicodeDecodeError:
            raise InvalidRequestError(f"field '{name}' is not UTF-8; send UTF-8 (row {row})") from None
    return decoded


def write_outputs(
    response: oip.ModelInferResponse, outputs: Mapping[str, NDArray[Any]], *, raw: bool
) -> None:
    """Append output tensors (float32 or bool), in order, raw or typed."""
    for name, values in outputs.items():
        truth = values.dtype == bool
        tensor = response.outputs.add(name=name, datatype="BOOL" if truth else "FP32", shape=values.shape)
        if raw:
            response.raw_output_contents.append(values.astype("?" if truth else "<f4").tobytes())
        elif truth:
            tensor.contents.bool_contents.extend(values.ravel().tolist())
        else:
            tensor.contents.fp32_contents.extend(values.ravel().tolist())
