"""The program that asks an engine about fresh rows, from a process of its own.

    python -m benchmarks.log_traffic '{"target": "unix:...", "shape": "mixed", "rows": 9, "rows_a_call": 1}'

Calls of one row are Predict over a stream, larger ones ModelInfer. No row is sent twice.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import grpc
import numpy as np

from benchmarks.environments import ROOT
from benchmarks.log_model import SHAPES, Shape
from sidecar.client import Client
from sidecar.oip import open_inference_pb2 as oip
from sidecar.oip import open_inference_pb2_grpc as oip_grpc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidecar.signature import Blocks, FieldValue

_DRAWN = 8192
_IN_FLIGHT = 4
_SEED = 3


@dataclass(frozen=True, slots=True)
class Traffic:
    """What to send. target: gRPC's."""

    target: str
    shape: str
    rows: int
    rows_a_call: int


def send(traffic: Traffic) -> None:
    """Send it all from a process of its own; raises CalledProcessError when a call fails."""
    subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "benchmarks.log_traffic", json.dumps(asdict(traffic))], cwd=ROOT, check=True
    )


def main(traffic: Traffic) -> None:
    """Send it all."""
    shape = next(shape for shape in SHAPES if shape.name == traffic.shape)
    if traffic.rows_a_call == 1:
        with Client(traffic.target) as client:
            answered = sum(1 for _ in client.predict_many(_records(shape, traffic.rows)))
        assert answered == traffic.rows
        return
    with grpc.insecure_channel(traffic.target, options=(("grpc.enable_http_proxy", 0),)) as channel:
        stub = oip_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
        waiting = []
        for blocks in _drawn(shape, traffic.rows, traffic.rows_a_call):
            waiting.append(stub.ModelInfer.future(_request(shape, blocks), timeout=60))
            if len(waiting) == _IN_FLIGHT:
                waiting.pop(0).result()
        for call in waiting:
            call.result()


def _drawn(shape: Shape, rows: int, at_a_time: int) -> Iterator[Blocks]:
    rng = np.random.default_rng(_SEED)
    while rows > 0:
        blocks = shape.rows(min(rows, _DRAWN), rng)
        for start in range(0, len(blocks), at_a_time):
            yield blocks.take(slice(start, start + at_a_time))
        rows -= len(blocks)


def _records(shape: Shape, rows: int) -> Iterator[dict[str, FieldValue]]:
    for blocks in _drawn(shape, rows, _DRAWN):
        for row in range(len(blocks)):
            yield shape.signature.unpack(blocks, row)


def _request(shape: Shape, blocks: Blocks) -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(model_name=f"log-{shape.name}")
    signature, rows = shape.signature, len(blocks)
    for place, field in enumerate(signature.numbers):
        _tensor(request, field.name, "FP32", rows).fp32_contents.extend(blocks.numbers[:, place].tolist())
    for place, field in enumerate(signature.integers):
        _tensor(request, field.name, "INT64", rows).int64_contents.extend(blocks.integers[:, place].tolist())
    for place, field in enumerate(signature.texts):
        words = [word.encode() for word in blocks.texts[:, place].tolist()]
        _tensor(request, field.name, "BYTES", rows).bytes_contents.extend(words)
    return request


def _tensor(request: oip.ModelInferRequest, name: str, kind: str, rows: int) -> oip.InferTensorContents:
    tensor = request.inputs.add(name=name, datatype=kind, shape=[rows])
    return tensor.contents


if __name__ == "__main__":
    main(Traffic(**json.loads(sys.argv[1])))
