"""What an ONNX file asks for, read without running or loading it.

The file is a protocol buffer. This walks its bytes along the few fields that matter here, into every
sub-graph and function, and notes operators, operator sets and tensors kept in other files. Field numbers are
those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sidecar.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BITS = 63
_MAX_DEPTH = 64

# For each message: the fields that hold messages worth walking into.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
    "opset": {},
}
_NODE_OPERATOR, _NODE_DOMAIN = 4, 7
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_MODEL_IR_VERSION, _MODEL_GRAPH = 1, 7
_TENSOR_EXTERNAL_DATA, _TENSOR_LOCATION = 13, 14

# A forest keeps millions of numbers in attributes, each a field of its own: `floats` (7) and `ints` (8).
# A possessive match passes over a run of them at once.
_NUMBERS = re.compile(rb"(?:\x3d.{4}|\x40[\x80-\xff]{0,9}[\x00-\x7f])++", re.DOTALL)


@dataclass
class GraphFacts:
    """What one ONNX file asks for. Domain "" is the standard one, which "ai.onnx" names too."""

    ir_version: int = 0
    opsets: dict[str, int] = field(default_factory=dict)
    operators: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many nodes there are of each (domain, operator), in sub-graphs and functions too."""
    external_data: bool = False
    """Whether a tensor's content lies in another file."""

    @property
    def nodes(self) -> int:
        """All nodes."""
        return self.operators.total()


class _Field(NamedTuple):
    number: int
    wire: int
    value: int
    """Of a varint; else 0."""
    start: int
    end: int


def read_graph(data: bytes) -> GraphFacts:
    """The facts of the model in `data`.

    Raises BundleError when it is not an ONNX model, or is nested deeper than any exporter nests.
    """
    facts = GraphFacts()
    has_graph = False
    waiting: list[tuple[str, int, int, int]] = [("model", 0, len(data), 0)]
    while waiting:
        kind, start, end, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            raise BundleError(f"graphs nested deeper than {_MAX_DEPTH} levels")
        children = _CHILDREN[kind]
        texts: dict[int, str] = {}
        numbers: dict[int, int] = {}
        for item in _fields(data, start, end, runs=kind == "attribute"):
            if item.wire == _VARINT:
                numbers[item.number] = item.value
            elif item.wire == _BYTES and item.number in children:
                waiting.append((children[item.number], item.start, item.end, depth + 1))
                has_graph |= kind == "model" and item.number == _MODEL_GRAPH
            elif item.wire == _BYTES and kind in ("node", "opset"):
                texts[item.number] = data[item.start : item.end].decode(errors="replace")
            elif kind == "tensor" and item.number == _TENSOR_EXTERNAL_DATA:
                facts.external_data = True
        _note(facts, kind, texts, numbers)
    if not has_graph or not facts.ir_version:
        raise BundleError("not an ONNX model")
    return facts


def _note(facts: GraphFacts, kind: str, texts: dict[int, str], numbers: dict[int, int]) -> None:
    if kind == "node":
        facts.operators[_domain(texts.get(_NODE_DOMAIN, "")), texts.get(_NODE_OPERATOR, "")] += 1
    elif kind == "opset":
        domain = _domain(texts.get(_OPSET_DOMAIN, ""))
        facts.opsets[domain] = max(facts.opsets.get(domain, 0), numbers.get(_OPSET_VERSION, 0))
    elif kind == "tensor":
        facts.external_data |= numbers.get(_TENSOR_LOCATION, 0) != 0
    elif kind == "model":
        facts.ir_version = numbers.get(_MODEL_IR_VERSION, 0)


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _fields(data: bytes, position: int, end: int, *, runs: bool) -> Iterator[_Field]:
    while position < end:
        if runs and (run := _NUMBERS.match(data, position, end)):
            position = run.end()
            continue
        tag, position = _varint(data, position, end)
        number, wire = tag >> 3, tag & 7
        start, value = position, 0
        if wire == _VARINT:
            value, position = _varint(data, position, end)
        elif wire == _BYTES:
            length, start = _varint(data, position, end)
            position = start + length
        elif wire == _FIXED32:
            position += 4
        elif wire == _FIXED64:
            position += 8
        else:
            raise BundleError(f"not an ONNX model: wire type {wire} at byte {start}")
        if position > end:
            raise BundleError(f"not an ONNX model: cut off at byte {end}")
        yield _Field(number, wire, value, start, position)


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift <= _MAX_VARINT_BITS:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the high bit says that more follows
            return value, position
        shift += 7
    raise BundleError(f"not an ONNX model: bad number at byte {position}")
