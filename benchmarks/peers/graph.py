"""The graph as every peer runs it, with the sidecar's session options. Needs only numpy and ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WIDTH = 8


def open_graph(path: str) -> ort.InferenceSession:
    """One intra-op thread that does not spin, as in sidecar/session.py."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(session: ort.InferenceSession, numbers: NDArray[np.float32]) -> list[NDArray[Any]]:
    """Score and decision of rows, float32 [rows, WIDTH]."""
    outputs: list[NDArray[Any]] = session.run(["score", "decision"], {"numbers": numbers})
    return outputs


def stacked(requests: Sequence[Sequence[bytes]], rows: int) -> NDArray[np.float32]:
    """The raw contents of requests of `rows` rows each, as float32 [requests * rows, WIDTH].

    A request has a column for each field, or one block of all fields.
    """
    numbers = np.frombuffer(b"".join([piece for request in requests for piece in request]), "<f4")
    if rows == 1 or len(requests[0]) == 1:
        return numbers.reshape(-1, WIDTH)
    return numbers.reshape(len(requests), WIDTH, rows).swapaxes(1, 2).reshape(-1, WIDTH)
