"""Random requests as bytes: right ones, wrong ones, and such as no protobuf library would write."""

import math
import struct

from hypothesis import strategies as st
from tiny_bundles import row

from sidecar.oip import open_inference_pb2 as oip
from sidecar.signature import Field, Kind, Outside, Signature
from sidecar.v1 import prediction_pb2

SIGNATURE = Signature(
    (
        Field("colour", Kind.TEXT, missing_allowed=True),
        Field("x", missing_allowed=True, lower=-5.5, upper=1e30, outside=Outside.MISSING),
        Field("trigger", Kind.INTEGER, lower=-(2.0**53), upper=2.0**53),
        Field("amount", lower=0.0, upper=1e6),
    )
)
"""As the tiny bundles', packed alike, with more that can be refused."""

_SECOND = 1_000_000_000


def _one_in(many):
    """True now and then; hypothesis would draw the ends of a range too often."""
    return st.sampled_from([False] * (many - 1) + [True])


@st.composite
def _mostly(draw, usual, *unusual):
    return draw(draw(st.sampled_from([usual] * 12 + [*unusual])))


def _varint(value, padding=0):
    """`padding` bytes longer than it has to be."""
    digits = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)] + [0] * padding
    return bytes([*(digit | 0x80 for digit in digits[:-1]), digits[-1]])


def _field(number, content, padding=(0, 0)):
    """A length-delimited field."""
    return _varint(number << 3 | 2, padding[0]) + _varint(len(content), padding[1]) + content


def _group(number, depth):
    return _varint(number << 3 | 3) * depth + _varint(number << 3 | 4) * depth


_PLAIN = st.just((0, 0))
_PADDING = st.sampled_from([(0, 0)] * 6 + [(1, 0), (0, 2), (3, 0), (0, 3)] * 3 + [(5, 0), (0, 5)])
_STRANGE = st.one_of(
    st.sampled_from(
        [
            b"\x08\x01",  # field 1 as a varint
            b"\x12\x01\xff",  # field 2 with one byte that is no UTF-8
            b"\x1d\0\0\0\0",
            b"\x99\x01" + b"\0" * 8,
            b"\xa8\x1f" + b"\xff" * 9 + b"\x7f",
            b"\xa8\x1f" + b"\xff" * 10,
            b"\xf8\xff\xff\xff\x0f\x01",  # the greatest field number, and beyond
            b"\xf8\xff\xff\xff\x1f\x01",
            b"\x00\x01",  # field 0, in a group too
            b"\x0b\x00\x01\x0c",
            b"\x0b\x14",
            b"\x0c",
            b"\x0e",
            b"\x12\x80\x80\x80\x80\x08",  # 2 GiB
        ]
    ),
    st.builds(_group, st.sampled_from([1, 9, 5000]), st.sampled_from([1, 2, 97, 98, 99, 100, 101])),
    st.builds(_field, st.sampled_from([1, 2, 3, 4, 5, 7, 99]), st.binary(max_size=4), _PADDING),
    st.binary(max_size=6),
)


@st.composite
def _damaged(draw, message):
    """Some bytes changed, or the end cut off; mostly neither."""
    if draw(_one_in(12)):
        return message[: draw(st.integers(0, len(message)))]
    if draw(_one_in(12)) and message:
        changed = bytearray(message)
        for _ in range(draw(st.integers(1, 3))):
            changed[draw(st.integers(0, len(message) - 1))] = draw(st.integers(0, 255))
        return bytes(changed)
    return message


@st.composite
def _put_together(draw, pieces):
    """The pieces in some order, with something strange among them now and then."""
    for strange in draw(st.lists(_STRANGE, max_size=2)) if draw(_one_in(8)) else []:
        pieces.insert(draw(st.integers(0, len(pieces))), strange)
    if draw(st.booleans()):
        pieces = draw(st.permutations(pieces))
    return draw(_damaged(b"".join(pieces)))


_FLOAT32_MAX = 3.4028234663852886e38
NUMBERS = st.one_of(
    st.floats(width=64),
    st.floats(-10, 10),
    st.sampled_from([0.0, -0.0, -5.5, 1e6, 1e6 + 0.5, 5e-324, math.nan, math.inf, -math.inf]),
    st.sampled_from([_FLOAT32_MAX, -_FLOAT32_MAX, math.nextafter(_FLOAT32_MAX, math.inf), 123456.5, 1e-5]),
)
_EDGES = [sign * (2**power + more) for sign in (1, -1) for power in (0, 24, 53, 60) for more in (-1, 0, 1)]
INTEGERS = st.one_of(
    st.integers(-9, 9), st.integers(-(2**63), 2**63 - 1), st.sampled_from([*_EDGES, -(2**63), 2**63 - 1])
)
TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["", "red", "a\0b", "it's", '"', "\\", "\x7f", "é" * 512, "é" * 512 + "x", "x" * 1025]),
)
_NAMES = _mostly(
    st.sampled_from([field.name for field in SIGNATURE.fields]),
    st.sampled_from(["amout", "triger", "colours", "X", "", "x" * 70, "é", "it's"]),
    st.text(max_size=70),
)
_IDS = _mostly(
    st.sampled_from(["order-7", "a", "x" * 125, "x" * 128]),
    st.sampled_from(["x" * 129, "a b", "é", "it's\n", ""]),
    st.text(max_size=4),
)


def _timestamps(field):
    seconds = st.sampled_from([0, 1_600_000_000, 2**62, 9_223_372_035, 9_223_372_036, -9_223_372_036])
    seconds |= st.sampled_from([-9_223_372_037, -(2**63), 7_000_000_000])
    nanos = st.sampled_from([0, 5, _SECOND - 1, _SECOND, 2**31 - 1, -1, -(2**31)])

    def encode(seconds, nanos):
        content = b"\x08" + _varint(seconds % 2**64) + b"\x10" + _varint(nanos % 2**64)
        return _field(field, content)

    right = st.just(encode(1_600_000_000, 5))
    return _mostly(right, st.builds(encode, seconds, nanos), st.just(_field(field, b"")))


# Predict


def _value(value):
    """A FieldValue's bytes; None is sent as missing."""
    if value is None:
        return b"\x22\0"
    if isinstance(value, str):
        return _field(3, value.encode())
    if isinstance(value, int):
        return b"\x10" + _varint(value % 2**64)
    return b"\x09" + struct.pack("<d", value)


_VALUE = st.one_of(NUMBERS, INTEGERS, TEXTS, st.none()).map(_value)
_VALUES = st.one_of(
    _VALUE,
    _VALUE,
    st.just(b""),
    st.tuples(_VALUE, _VALUE).map(b"".join),
    st.tuples(_VALUE, _STRANGE).map(b"".join),
)


@st.composite
def _entry(draw, name, value, padding=_PLAIN):
    pieces = [_field(1, name.encode(), draw(padding)), _field(2, value, draw(padding))]
    if draw(_one_in(20)):
        pieces.append(draw(st.one_of(_VALUES.map(lambda more: _field(2, more)), _STRANGE)))
        pieces = draw(st.permutations(pieces))
    return _field(1, b"".join(pieces), draw(padding))


@st.composite
def predict_requests(draw):
    record = list(row().items())
    removed = draw(st.sampled_from([None] * 12 + [name for name, _ in record]))
    padding = draw(st.sampled_from([_PLAIN, _PLAIN, _PADDING]))
    pieces = [draw(_entry(name, _value(value), padding)) for name, value in record if name != removed]
    edits = draw(st.sampled_from([0, 0, 1, 1, 1, 2]))
    pieces += [draw(_entry(draw(_NAMES), draw(_VALUES))) for _ in range(edits)]
    if draw(st.booleans()):
        pieces.append(_field(2, draw(_IDS).encode()))
    if draw(st.booleans()):
        pieces.append(draw(_timestamps(3)))
    if draw(_one_in(6)):
        digest = st.sampled_from([SIGNATURE.digest, SIGNATURE.digest, "other", "é'é", ""])
        pieces.append(_field(4, draw(digest).encode()))
    return draw(_put_together(pieces))


# ModelInfer

_TYPED = {
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT64": "uint64_contents",
    "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
}
_PACKED = {"FP32": "f", "FP64": "d", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q"}
_BITS = {"INT8": 8, "INT16": 16, "INT32": 32, "INT64": 64}
_DATATYPES = {
    Kind.NUMBER: ("FP32", "FP64", *_BITS),
    Kind.INTEGER: tuple(_BITS),
    Kind.TEXT: ("BYTES",),
}
_OUTPUTS = _mostly(
    st.lists(st.sampled_from(["score", "decision", "features"]), unique=True),
    st.lists(st.sampled_from(["score", "scores", "it's", "é"]), max_size=3),
)


def _elements(datatype):
    if datatype == "BYTES":
        return st.one_of(TEXTS.map(str.encode), st.sampled_from([b"red", b"\xff", b"\xed\xa0\x80"]))
    if datatype == "INT64":
        return INTEGERS
    if datatype in _BITS:
        edge = 2 ** (_BITS[datatype] - 1)
        return st.one_of(st.integers(0, 9), st.integers(-edge, edge - 1), st.sampled_from([-edge, edge - 1]))
    if datatype == "FP32":
        return st.one_of(st.floats(0, 10, width=32), st.floats(width=32))
    if datatype == "FP64":
        return st.one_of(st.floats(0, 10), NUMBERS)
    return st.integers(0, 1)


@st.composite
def _column(draw, field, rows):
    """Datatype and elements for a field: mostly such as it takes."""
    wrong = draw(_one_in(20))
    datatype = draw(st.sampled_from(sorted(_TYPED) if wrong else _DATATYPES[field.kind]))
    if draw(_one_in(3)):
        return datatype, draw(st.lists(_elements(datatype), min_size=rows, max_size=rows))
    return datatype, [b"red" if datatype == "BYTES" else 1] * rows


def _raw(datatype, elements):
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(text)) + text for text in elements)
    return struct.pack(f"<{len(elements)}{_PACKED.get(datatype, 'B')}", *elements)


@st.composite
def infer_requests(draw):
    rows, raw = draw(st.integers(1, 3)), draw(st.booleans())
    message = oip.ModelInferRequest(model_name="tiny", id=draw(_IDS | st.just("")))
    for field in draw(st.permutations(SIGNATURE.fields)):
        datatype, elements = draw(_column(field, rows))
        shape = draw(st.sampled_from([[rows], [rows, 1]]))
        tensor = message.inputs.add(name=field.name, datatype=datatype, shape=shape)
        if raw:
            message.raw_input_contents.append(_raw(datatype, elements))
        else:
            getattr(tensor.contents, _TYPED[datatype]).extend(elements)
    for name in draw(_OUTPUTS):
        message.outputs.add(name=name)
    if draw(_one_in(3)):
        draw(st.sampled_from(_SPOILERS))(draw, message)
    return draw(_put_together([message.SerializeToString()]))


def _rename(draw, message):
    draw(st.sampled_from(message.inputs)).name = draw(_NAMES)


def _reshape(draw, message):
    shapes = [[], [0], [-1], [1, 2], [2, 1], [1, 1, 1], [2**40], [4097], [1] * 20, [2]]
    draw(st.sampled_from(message.inputs)).shape[:] = draw(st.sampled_from(shapes))


def _retype(draw, message):
    draw(st.sampled_from(message.inputs)).datatype = draw(
        st.sampled_from([*sorted(_TYPED), "", "fp32", "é" * 20, "FP16"])
    )


def _drop(draw, message):
    del message.inputs[draw(st.integers(0, len(message.inputs) - 1))]


def _repeat(draw, message):
    message.inputs.append(draw(st.sampled_from(list(message.inputs))))


def _change_raw(draw, message):
    contents = [bytes(each) for each in message.raw_input_contents] or [b""]
    place = draw(st.integers(0, len(contents) - 1))
    changed = st.sampled_from([contents[place][:-1], contents[place] + b"\0", b"\xff\xff\xff\xff", b"\0\0\0"])
    contents[place] = draw(changed)
    message.raw_input_contents[:] = contents[: draw(st.integers(len(contents) - 1, len(contents)))]


def _add_contents(draw, message):
    tensor = draw(st.sampled_from(message.inputs))
    getattr(tensor.contents, draw(st.sampled_from(sorted(set(_TYPED.values()))))).extend([])
    draw(st.sampled_from(message.inputs)).contents.bool_contents.append(True)


def _name_model(draw, message):
    message.model_name = draw(st.sampled_from(["tiny", "other", "é", ""]))
    message.model_version = draw(st.sampled_from(["1", "2", "it's", ""]))


def _parameters(draw, message):
    message.parameters["any"].int64_param = draw(st.integers(-1, 1))
    message.inputs[0].parameters["é"].string_param = "x"


_SPOILERS = (
    _rename,
    _reshape,
    _retype,
    _drop,
    _repeat,
    _change_raw,
    _add_contents,
    _name_model,
    _parameters,
)


# RecordOutcome


@st.composite
def _outcome(draw):
    label = draw(_mostly(st.sampled_from([0.0, 1.0, -0.0]), NUMBERS))
    message = prediction_pb2.Outcome(request_id=draw(_IDS), label=label)
    if draw(st.booleans()):
        message.value = draw(_mostly(st.floats(-10, 10), NUMBERS))
    pieces = [message.SerializeToString()]
    if draw(st.booleans()):
        pieces.append(draw(_timestamps(4)))
    return _field(1, draw(_put_together(pieces)))


@st.composite
def outcome_requests(draw):
    least = 0 if draw(_one_in(20)) else 1
    return draw(_put_together(draw(st.lists(_outcome(), min_size=least, max_size=3))))
