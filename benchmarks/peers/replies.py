"""Open Inference replies for peers that come without a protocol of their own."""

from __future__ import annotations

from functools import cache

from sidecar.oip import open_inference_pb2 as oip

LIVE = oip.ServerLiveResponse(live=True).SerializeToString()
_RAW_OUTPUT_CONTENTS = b"\x32"
"""Field 6 of ModelInferResponse, length-delimited."""


def reply(name: str, rows: int, score: bytes, decision: bytes) -> bytes:
    """Encode a ModelInferResponse: what is the same each time once, and the raw outputs after it."""
    tag = _RAW_OUTPUT_CONTENTS
    parts = (_head(name, rows), tag, _varint(len(score)), score, tag, _varint(len(decision)), decision)
    return b"".join(parts)


@cache
def _head(name: str, rows: int) -> bytes:
    tensor = oip.ModelInferResponse.InferOutputTensor
    return oip.ModelInferResponse(
        model_name=name,
        model_version="1",
        outputs=[
            tensor(name="score", datatype="FP32", shape=[rows]),
            tensor(name="decision", datatype="BOOL", shape=[rows]),
        ],
    ).SerializeToString()


@cache
def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits to a byte
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
