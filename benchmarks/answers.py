"""Whether every server gives the same answers, asked before anything is measured and again afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.lineup import graph
from benchmarks.payload import Payload, infer, infer_block, numbers
from sidecar.oip import open_inference_pb2 as oip
from sidecar.session import open_session

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.servers import Running

_ROWS = (1, 64)


class WrongAnswerError(Exception):
    """A server's answer is not what the graph gives."""


def check_answers(running: Running) -> None:
    """Raise WrongAnswerError unless scores and decisions are the graph's own, bit for bit."""
    for rows in _ROWS:
        _check(running, infer(rows))
        if running.server.also_blocks:
            _check(running, infer_block(rows))


def _check(running: Running, payload: Payload) -> None:
    reply = oip.ModelInferResponse.FromString(running.call(payload))
    names = (output.name for output in reply.outputs)
    contents = dict(zip(names, reply.raw_output_contents, strict=True))
    score, decision = _expected(payload.rows)
    if contents.get("score") != score.tobytes() or contents.get("decision") != decision.tobytes():
        raise WrongAnswerError(f"{running.server.name} answers {payload.name} with {contents}")


def _expected(rows: int) -> list[NDArray[Any]]:
    outputs: list[NDArray[Any]] = open_session(Path(graph())).run(
        ["score", "decision"], {"numbers": numbers(rows)}
    )
    return outputs
