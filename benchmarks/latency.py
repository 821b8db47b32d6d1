"""Latency in an open loop: calls arrive at fixed times, and each one's latency counts from its own.

First each engine at shares of its own capacity, over TCP and over a Unix domain socket; then each peer at
half of its own capacity, and the native engine at that same rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks import machine, open_loop
from benchmarks.answers import check_answers
from benchmarks.lineup import (
    GRPCIO,
    KSERVE_TUNED,
    MLSERVER,
    MLSERVER_IN_PROCESS,
    NATIVE,
    PYGRPC,
    PYGRPC_SINGLE,
    PYTHON,
)
from benchmarks.payload import infer
from benchmarks.servers import Running, Server
from benchmarks.throughput import capacity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.results import Plan

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
ENGINES = (NATIVE, PYTHON)
PEERS = (GRPCIO, PYGRPC, PYGRPC_SINGLE, MLSERVER, MLSERVER_IN_PROCESS, KSERVE_TUNED)
_SECONDS = 3.0


def measure(plan: Plan, only: Sequence[str] = ()) -> None:
    """Measure all, or those named, and save "latency"."""
    program = open_loop.build()
    context = machine.describe()
    engines = [server for server in ENGINES if not only or server.name in only]
    peers = [server for server in PEERS if not only or server.name in only]
    capacities = {server.name: capacity(plan, server.name) for server in (*engines, *peers)}
    measurements: list[dict[str, Any]] = []
    for number in range(plan.rounds):
        for server in (*engines, *peers) if number % 2 == 0 else (*peers[::-1], *engines[::-1]):
            print(f"round {number + 1}/{plan.rounds}: {server.name}", flush=True)
            with Running(server) as running:
                check_answers(running)
                for run in _runs(server, capacities, [peer.name for peer in peers]):
                    found = _measure_once(program, running, plan.seconds(_SECONDS), **run)
                    measurements.append({"round": number, "server": server.name, **found})
                check_answers(running)
    body = infer(1)
    plan.save(
        "latency",
        {
            **context,
            "rounds": plan.rounds,
            "seconds": plan.seconds(_SECONDS),
            "labels": {server.name: server.label for server in (*engines, *peers)},
            "capacities": capacities,
            "command": "load --target 127.0.0.1:PORT|unix:SOCKET --method "
            f"{body.method} --body PAYLOAD --rate RATE --seconds {plan.seconds(_SECONDS):g} --warm-up 1",
            "measurements": measurements,
        },
    )


def _runs(server: Server, capacities: dict[str, float], peers: list[str]) -> list[dict[str, Any]]:
    """What to ask of one server: transport, rate, and whose capacity the rate is a share of."""
    own = capacities[server.name]
    if server not in ENGINES:
        return [{"transport": "tcp", "of": server.name, "share": 0.5, "rate": own / 2}]
    transports = ["tcp", "uds"] if server is NATIVE else ["tcp"]
    runs = [
        {"transport": transport, "of": server.name, "share": share, "rate": own * share}
        for transport in transports
        for share in SHARES
    ]
    if server is NATIVE:
        runs += [
            {"transport": "tcp", "of": peer, "share": 0.5, "rate": capacities[peer] / 2} for peer in peers
        ]
    return runs


def _measure_once(
    program: Path, running: Running, seconds: float, *, transport: str, of: str, share: float, rate: float
) -> dict[str, Any]:
    target = f"unix:{running.uds}" if transport == "uds" else running.address
    found = open_loop.run(program, target, infer(1), running.folder, *open_loop.at_rate(rate, seconds))
    return {
        "transport": transport,
        "of": of,
        "share": share,
        "rate": rate,
        "sent": found.sent,
        "achieved_rate": found.achieved_rate,
        "ends": dict(found.ends),
        "latency_us": dict(found.latency_us),
        "lateness_us": dict(found.lateness_us or {}),
    }
