"""The graph that does nothing: what a run costs before a model does anything.

Written as bytes, since a sidecar is installed without the onnx package. Field numbers are those of onnx.proto
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.session import INTEGERS, NUMBERS, TEXTS

if TYPE_CHECKING:
    from sidecar.signature import Signature

_FLOAT, _INT64, _STRING = 1, 7, 8
_IR_VERSION, _OPSET = 10, 18


def empty_graph(signature: Signature) -> bytes:
    """A model that takes the blocks of `signature` and gives each of them back as it came.

    The outputs are named "same_numbers" and so on, for the blocks that have fields.
    """
    blocks = (
        (NUMBERS, _FLOAT, len(signature.numbers)),
        (INTEGERS, _INT64, len(signature.integers)),
        (TEXTS, _STRING, len(signature.texts)),
    )
    graph = _text(2, "empty")
    for name, dtype, width in blocks:
        if width:
            graph += _bytes(1, _text(1, name) + _text(2, f"same_{name}") + _text(4, "Identity"))
            graph += _bytes(11, _tensor(name, dtype, width))
            graph += _bytes(12, _tensor(f"same_{name}", dtype, width))
    return _number(1, _IR_VERSION) + _bytes(7, graph) + _bytes(8, _number(2, _OPSET))


def _tensor(name: str, dtype: int, width: int) -> bytes:
    """Name and type, [rows, width]."""
    shape = _bytes(1, _text(2, "rows")) + _bytes(1, _number(1, width))
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, dtype) + _bytes(2, shape)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, content: str) -> bytes:
    return _bytes(field, content.encode())


def _varint(value: int) -> bytes:
    """Seven bits a byte, the least first; the high bit says that more follow."""
    made = bytearray()
    while value > 0x7F:  # noqa: PLR2004
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)
