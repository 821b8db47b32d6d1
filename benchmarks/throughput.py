"""Requests a second in a closed loop, and what they cost: CPU time, memory, start-up.

In each round every server is started, checked, measured in every shape and stopped, so that the servers'
figures of one round were taken within minutes of each other.
"""

from __future__ import annotations

import random
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks import h2load, machine
from benchmarks.answers import check_answers
from benchmarks.h2load import Shape
from benchmarks.lineup import LINEUP, VARIANTS
from benchmarks.payload import Payload, infer, infer_block
from benchmarks.row_fates import row_fates
from benchmarks.servers import Running, Server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.results import Plan

SINGLE = Shape(1, 1)
SHAPES = (SINGLE, Shape(1, 16), Shape(4, 8), Shape(4, 32))
MAIN = Shape(4, 8)
"""The shape that ratios are stated for."""
MANY_ROWS = 64
_SECONDS = 1.5


def measure(plan: Plan, only: Sequence[str] = ()) -> None:
    """Measure all servers, or those named, and save "throughput"."""
    servers = [server for server in (*LINEUP, *VARIANTS) if not only or server.name in only]
    context = machine.describe()
    measurements: list[dict[str, Any]] = []
    starts: list[dict[str, Any]] = []
    for number in range(plan.rounds):
        for server in _shuffled(servers, number):
            print(f"round {number + 1}/{plan.rounds}: {server.name}", flush=True)
            with Running(server) as running:
                check_answers(running)
                starts.append(
                    {
                        "round": number,
                        "server": server.name,
                        "start_seconds": running.start_seconds,
                        "rss_bytes": running.rss_bytes(),
                    }
                )
                for payload, shape in _runs(server):
                    found = measure_once(running, payload, shape, plan.seconds(_SECONDS))
                    measurements.append({"round": number, **found})
                check_answers(running)
    plan.save(
        "throughput",
        {
            **context,
            "rounds": plan.rounds,
            "seconds": plan.seconds(_SECONDS),
            "labels": {server.name: server.label for server in servers},
            "command": _command(plan),
            "measurements": measurements,
            "starts": starts,
        },
    )


def measure_once(running: Running, payload: Payload, shape: Shape, seconds: float) -> dict[str, Any]:
    """One run of h2load, and the CPU time that the server took meanwhile."""
    reply = len(running.call(payload))
    fates, before = row_fates(running), running.cpu_seconds()
    found = h2load.run(
        running.address,
        payload,
        running.folder,
        shape,
        seconds=seconds,
        reply_bytes=reply,
        log=shape == SINGLE,
    )
    settled = row_fates(running)  # first: what recording costs is part of the cost
    spent = running.cpu_seconds() - before
    answered = found.rate * (seconds + h2load.WARM_UP_SECONDS)
    return {
        "server": running.server.name,
        "payload": payload.name,
        "shape": str(shape),
        "rate": found.rate,
        "requests": found.requests,
        "mean_us": found.mean_us,
        "median_us": found.median_us,
        "cpu_seconds_per_10000": spent / answered * 10_000,
        "rss_bytes": running.rss_bytes(),
        "rows": settled.since(fates) if settled and fates else {},
    }


def capacity(plan: Plan, name: str) -> float:
    """Give a server's median rate in the main shape, from "throughput". Raises LoadError when it has none."""
    found = plan.load("throughput")
    rates = [
        each["rate"]
        for each in (found["measurements"] if found else ())
        if (each["server"], each["payload"], each["shape"]) == (name, infer(1).name, str(MAIN))
    ]
    if not rates:
        raise h2load.LoadError(f"the capacity of {name} is not known; measure throughput first")
    return float(median(rates))


def _runs(server: Server) -> list[tuple[Payload, Shape]]:
    if server in VARIANTS:
        return [(infer(1), SINGLE), (infer(1), MAIN), (infer(MANY_ROWS), MAIN)]
    runs = [(infer(1), shape) for shape in SHAPES] + [(infer(MANY_ROWS), MAIN)]
    if server.also_blocks:
        runs += [(infer_block(1), MAIN), (infer_block(MANY_ROWS), MAIN)]
    return runs


def _shuffled(servers: Sequence[Server], number: int) -> list[Server]:
    """Give each round an order of its own, always the same: nobody always follows the same server."""
    return random.Random(number).sample(servers, len(servers))  # noqa: S311 - an order, no secret


def _command(plan: Plan) -> str:
    return (
        f"h2load -c CONNECTIONS -m STREAMS -D {plan.seconds(_SECONDS) * 1000:.0f}ms "
        f"--warm-up-time={h2load.WARM_UP_SECONDS * 1000:g}ms -H 'content-type: application/grpc' "
        f"-H 'te: trailers' -d PAYLOAD http://127.0.0.1:PORT{infer(1).method}"
    )
