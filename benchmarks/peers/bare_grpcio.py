"""grpcio and ONNX Runtime and nothing else: grpc.aio on uvloop, or a thread pool of one.

Arguments: graph, port, "aio" or "threads", processes (more than one share the port).
"""

from __future__ import annotations

import os
import sys
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc
import uvloop
from graph import open_graph, run, stacked
from replies import LIVE, reply

from sidecar.oip import open_inference_pb2 as oip

if TYPE_CHECKING:
    from collections.abc import Callable


class Service:
    """Answers with ready-made bytes: reply messages would only have to be encoded."""

    def __init__(self, path: str) -> None:
        self._session = open_graph(path)

    def infer(self, request: oip.ModelInferRequest, _: object) -> bytes:
        """ModelInfer for the thread pool."""
        rows = request.inputs[0].shape[0]
        score, decision = run(self._session, stacked([request.raw_input_contents], rows))
        return reply(request.model_name, rows, score.tobytes(), decision.tobytes())

    async def infer_async(self, request: oip.ModelInferRequest, context: object) -> bytes:
        """ModelInfer for the event loop: the run takes microseconds."""
        return self.infer(request, context)


def handlers(infer: Callable[..., Any], live: Callable[..., Any]) -> tuple[grpc.GenericRpcHandler]:
    """The two methods."""
    methods = {
        "ModelInfer": grpc.unary_unary_rpc_method_handler(infer, oip.ModelInferRequest.FromString),
        "ServerLive": grpc.unary_unary_rpc_method_handler(live),
    }
    return (grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods),)


async def serve_async(path: str, port: str, options: list[tuple[str, int]]) -> None:
    """Serve on the event loop."""

    async def live(*_: object) -> bytes:
        return LIVE

    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers(handlers(Service(path).infer_async, live))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def serve_threads(path: str, port: str, options: list[tuple[str, int]]) -> None:
    """Serve with one thread: more of them only wait for the GIL."""
    server = grpc.server(futures.ThreadPoolExecutor(1), options=options)
    server.add_generic_rpc_handlers(handlers(Service(path).infer, lambda *_: LIVE))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def main() -> None:
    """Serve until the process is ended."""
    path, port, kind, processes = *sys.argv[1:4], int(sys.argv[4])
    options = [("grpc.so_reuseport", int(processes > 1))]
    for _ in range(processes - 1):  # before gRPC starts threads, which a fork would lose
        if os.fork() == 0:
            break
    if kind == "aio":
        uvloop.run(serve_async(path, port, options))
    else:
        serve_threads(path, port, options)


main()
