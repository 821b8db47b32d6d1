"""Where the time of one request goes, and how far that is from the floor.

The floor is the ONNX Runtime run that the request contains, plus an empty call to the same server: both
without alternative for an answer over gRPC. All times are medians at 1x1; the whole request's and the empty
call's are h2load's.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks import h2load, machine, open_loop
from benchmarks.answers import check_answers
from benchmarks.latency import ENGINES
from benchmarks.payload import Payload, infer, live, predict
from benchmarks.servers import Running
from benchmarks.throughput import MAIN, SINGLE
from sidecar.engine.contract import STAGES
from sidecar.v1.prediction_pb2 import PredictResponse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.h2load import Shape
    from benchmarks.results import Plan

_SECONDS = 2.0


def measure(plan: Plan, only: Sequence[str] = ()) -> None:
    """Measure both engines, or the one named, and save "request"."""
    program = open_loop.build()
    context = machine.describe()
    measurements: list[dict[str, Any]] = []
    for number in range(plan.rounds):
        for server in ENGINES if number % 2 == 0 else ENGINES[::-1]:
            if only and server.name not in only:
                continue
            print(f"round {number + 1}/{plan.rounds}: {server.name}", flush=True)
            with Running(server) as running:
                check_answers(running)
                measurements.append(
                    {
                        "round": number,
                        "server": server.name,
                        **_medians(running, plan.seconds(_SECONDS)),
                        "stages_ns": _stages(program, running, plan.seconds(_SECONDS)),
                    }
                )
    plan.save(
        "request",
        {
            **context,
            "rounds": plan.rounds,
            "seconds": plan.seconds(_SECONDS),
            "labels": {server.name: server.label for server in ENGINES},
            "measurements": measurements,
        },
    )


def _medians(running: Running, seconds: float) -> dict[str, Any]:
    """The three calls at 1x1 in microseconds, and at 4x8 in requests a second."""
    return {
        "median_us": {
            payload.name: _run(running, payload, SINGLE, seconds).median_us
            for payload in (live(), predict(), infer(1))
        },
        "rate": {
            payload.name: _run(running, payload, MAIN, seconds).rate
            for payload in (live(), predict(), infer(1))
        },
    }


def _run(running: Running, payload: Payload, shape: Shape, seconds: float) -> h2load.Closed:
    return h2load.run(
        running.address,
        payload,
        running.folder,
        shape,
        seconds=seconds,
        reply_bytes=len(running.call(payload)),
        log=shape == SINGLE,
    )


def _stages(program: Path, running: Running, seconds: float) -> dict[str, float]:
    """The median of each stage in the replies' own timings, and of the rest, which is the wire's."""
    folder = running.folder
    kept = folder / "replies"
    open_loop.run(
        program,
        running.address,
        predict(),
        folder,
        *("--in-flight", "1", "--connections", "1", "--warm-up", "0.5"),
        *("--seconds", f"{seconds:g}", "--replies", str(kept)),
    )
    stages: dict[str, list[int]] = {stage: [] for stage in (*STAGES, "wire", "whole")}
    for latency_ns, message in open_loop.read_replies(kept.read_bytes()):
        timings = PredictResponse.FromString(message).timings
        inside = [getattr(timings, f"{stage}_ns") for stage in STAGES]
        for stage, took_ns in zip(stages, (*inside, latency_ns - sum(inside), latency_ns), strict=True):
            stages[stage].append(took_ns)
    return {stage: median(times) for stage, times in stages.items()}
