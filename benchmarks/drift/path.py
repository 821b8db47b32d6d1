"""What counting costs the replies: the native engine with drift watched and not, in pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks import h2load, open_loop
from benchmarks.lineup import sidecar
from benchmarks.payload import infer
from benchmarks.row_fates import row_fates
from benchmarks.servers import Running
from benchmarks.throughput import MAIN

if TYPE_CHECKING:
    from pathlib import Path

WATCHED = ("off", "on")
RATE = 10_000.0
"""Calls a second in the open loop: far from what the machine can do, so that p99 is the sidecar's own."""
_ROUNDS = 9
_SECONDS = 3.0


def measure() -> dict[str, Any]:
    """Requests/s in a closed loop and latency in an open one; every other pair the other way round."""
    program = open_loop.build()
    rounds = []
    for number in range(_ROUNDS):
        found = {watch: _once(program, watch) for watch in WATCHED[:: 1 if number % 2 else -1]}
        rounds.append({watch: found[watch] for watch in WATCHED})
        print(number + 1, rounds[-1], flush=True)
    return {"rate": RATE, "rounds": rounds}


def _once(program: Path, watch: str) -> dict[str, Any]:
    payload = infer(1)
    with Running(sidecar("native", SIDECAR_DRIFT_WATCH=watch)) as running:
        size = len(running.call(payload))
        closed = h2load.run(
            running.address, payload, running.folder, MAIN, seconds=_SECONDS, reply_bytes=size
        )
        row_fates(running)
        opened = open_loop.run(
            program, running.address, payload, running.folder, *open_loop.at_rate(RATE, _SECONDS)
        )
    if opened.failed:
        raise h2load.LoadError(f"{opened.failed} calls failed")
    return {
        "requests": round(closed.rate, 1),
        "p50_us": opened.latency_us["p50"],
        "p99_us": opened.latency_us["p99"],
    }
