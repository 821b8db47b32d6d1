"""The requests that are sent: the same bytes to every server."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.model import FIELDS, NAME, sample
from sidecar.oip import open_inference_pb2 as oip
from sidecar.v1 import prediction_pb2

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

INFER = "/inference.GRPCInferenceService/ModelInfer"
LIVE = "/inference.GRPCInferenceService/ServerLive"
PREDICT = "/sidecar.v1.PredictionService/Predict"
_SEED = 7


@dataclass(frozen=True, slots=True)
class Payload:
    """One request message and the method it is for. rows: how many it asks to score."""

    name: str
    method: str
    message: bytes
    rows: int

    @property
    def framed(self) -> bytes:
        """The message as gRPC frames it on the wire: not compressed, its length, then itself."""
        return struct.pack(">?I", False, len(self.message)) + self.message

    def write(self, folder: Path) -> Path:
        """Put the framed message into a file, for load generators to send."""
        path = folder / f"{self.name}.grpc"
        path.write_bytes(self.framed)
        return path


def numbers(rows: int) -> NDArray[np.float32]:
    """Draw what the requests ask about, float32 [rows, fields]; the same each time."""
    return sample(rows, _SEED)


def infer(rows: int) -> Payload:
    """Make an Open Inference request as its clients send it: one raw FP32 tensor for each field."""
    return Payload(
        name=f"infer-{rows}",
        method=INFER,
        message=oip.ModelInferRequest(
            model_name=NAME,
            inputs=[
                oip.ModelInferRequest.InferInputTensor(name=name, datatype="FP32", shape=[rows])
                for name in FIELDS
            ],
            raw_input_contents=[column.astype("<f4").tobytes() for column in numbers(rows).T],
        ).SerializeToString(),
        rows=rows,
    )


def infer_block(rows: int) -> Payload:
    """Make the same request with one raw FP32 tensor of all fields: less to decode, for peers only."""
    return Payload(
        name=f"infer-block-{rows}",
        method=INFER,
        message=oip.ModelInferRequest(
            model_name=NAME,
            inputs=[
                oip.ModelInferRequest.InferInputTensor(
                    name="numbers", datatype="FP32", shape=[rows, len(FIELDS)]
                )
            ],
            raw_input_contents=[numbers(rows).astype("<f4").tobytes()],
        ).SerializeToString(),
        rows=rows,
    )


def predict() -> Payload:
    """Make a request of the sidecar's own protocol: one row, fields by name."""
    message = prediction_pb2.PredictRequest()
    for name, value in zip(FIELDS, numbers(1)[0], strict=True):
        message.fields[name].number = float(value)
    return Payload("predict", PREDICT, message.SerializeToString(deterministic=True), 1)


def live() -> Payload:
    """Make the empty request of ServerLive: the echo that bounds every other method from below."""
    return Payload("live", LIVE, b"", 0)
