"""KServe's Python model server with a model class as its documentation has it.

Arguments: graph, gRPC port, HTTP port, then "default", or "tuned": on uvloop, and no line logged for each
request.
"""

from __future__ import annotations

import asyncio
import logging
import sys

import numpy as np
import uvloop
from graph import open_graph, run

_path, _grpc_port, _http_port, _mode = sys.argv[1:]
sys.argv = sys.argv[:1]  # KServe parses the command line when it is imported

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer  # noqa: E402


class Logistic(Model):
    """Answers at once on the event loop: the run takes microseconds."""

    def __init__(self, path: str) -> None:
        super().__init__("benchmark")
        self._session = open_graph(path)
        self.ready = True

    def predict(self, payload: InferRequest, *_: object) -> InferResponse:
        """Score the rows of a request."""
        tensors = [tensor.as_numpy() for tensor in payload.inputs]
        rows = tensors[0] if len(tensors) == 1 else np.stack(tensors, axis=1)
        score, decision = run(self._session, rows)
        outputs = [
            InferOutput("score", list(score.shape), "FP32"),
            InferOutput("decision", list(decision.shape), "BOOL"),
        ]
        outputs[0].set_data_from_numpy(score)
        outputs[1].set_data_from_numpy(decision)
        return InferResponse(payload.id, "benchmark", outputs, use_binary_outputs=True)


def main() -> None:
    """Serve until the process is ended."""
    tuned = _mode == "tuned"
    server = ModelServer(
        http_port=int(_http_port), grpc_port=int(_grpc_port), enable_latency_logging=not tuned
    )
    if tuned:
        uvloop.install()
        asyncio.set_event_loop(uvloop.new_event_loop())
        logging.getLogger("kserve").setLevel(logging.WARNING)
    server.start([Logistic(_path)])


if __name__ == "__main__":
    main()
