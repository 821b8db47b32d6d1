"""pygrpc-native's low-level front, with one Python thread that takes as many calls as wait.

Calls of equally many rows that were taken together are answered with one run: micro-batches that make nobody
wait. Arguments: graph, port, I/O threads, calls taken at a time (1: each runs by itself).
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import TYPE_CHECKING

from graph import open_graph, run, stacked
from pygrpc_native import EVENT_CALL, NativeGrpcFront
from replies import LIVE, reply

from sidecar.oip import open_inference_pb2 as oip

if TYPE_CHECKING:
    import onnxruntime as ort

_SERVICE = "/inference.GRPCInferenceService"
_LIVE_METHOD = 1
_SCORE_BYTES = 4


def answer(
    front: NativeGrpcFront,
    session: ort.InferenceSession,
    rows: int,
    calls: list[tuple[int, oip.ModelInferRequest]],
) -> None:
    """Answer calls of `rows` rows each with one run."""
    score, decision = run(session, stacked([request.raw_input_contents for _, request in calls], rows))
    scores, decisions = score.tobytes(), decision.tobytes()
    for place, (call, request) in enumerate(calls):
        first, end = place * rows, (place + 1) * rows
        front.respond(
            call,
            reply(
                request.model_name,
                rows,
                scores[first * _SCORE_BYTES : end * _SCORE_BYTES],
                decisions[first:end],
            ),
        )


def main() -> None:
    """Serve until the process is ended."""
    path, port, io_threads, batch = sys.argv[1], *map(int, sys.argv[2:])
    session = open_graph(path)
    methods = [(f"{_SERVICE}/ModelInfer", False), (f"{_SERVICE}/ServerLive", False)]
    front = NativeGrpcFront(f"127.0.0.1:{port}", methods, io_threads=io_threads)
    front.start()
    while (events := front.recv_batch(batch)) is not None:
        taken = defaultdict(list)
        for kind, call, method, payload, _ in events:
            if kind != EVENT_CALL:
                continue
            if method == _LIVE_METHOD:
                front.respond(call, LIVE)
            else:
                request = oip.ModelInferRequest.FromString(payload)
                taken[request.inputs[0].shape[0]].append((call, request))
        for rows, calls in taken.items():
            answer(front, session, rows, calls)


main()
