"""Ten million requests through the native sidecar while its champion changes every second.

Every reply's grpc-status is looked at. Memory and the log's size are sampled once a second; the log lies in a
temporary folder and goes with it. Each swap also starts shadow workers for the new champion and the former
one, and ends those of the champions before; so memory is that of the process that answers, and theirs apart.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

import grpc

from benchmarks import machine, open_loop
from benchmarks.answers import check_answers
from benchmarks.lineup import sidecar
from benchmarks.payload import infer
from benchmarks.servers import Running
from benchmarks.swaps import Swaps, admin_stub, admin_target
from sidecar.v1 import admin_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.results import Plan

REQUESTS = 10_000_000
QUICK_REQUESTS = 20_000
_CONNECTIONS, _IN_FLIGHT = 4, 8
_SAMPLE_SECONDS = 1.0
_RECORD_SECONDS = 60.0


def measure(plan: Plan, only: Sequence[str] = ()) -> None:
    """Soak one engine (native unless named) and save "soak"."""
    engine = only[0] if only else "native"
    requests = REQUESTS if plan.full else QUICK_REQUESTS
    program = open_loop.build()
    context = machine.describe()
    with Running(sidecar(engine)) as running:
        check_answers(running)
        before = _status(running.folder / "home")  # calls that came before the first champion were refused
        with Swaps(running) as swaps, _Samples(running) as samples:
            started = time.monotonic()
            found = open_loop.run(
                program,
                running.address,
                infer(1),
                running.folder,
                *("--connections", str(_CONNECTIONS), "--in-flight", str(_IN_FLIGHT)),
                *("--requests", str(requests), "--seconds", "100000", "--warm-up", "0"),
            )
            seconds = time.monotonic() - started
        status = _status(running.folder / "home")
    plan.save(
        "soak",
        {
            **context,
            "engine": engine,
            "command": f"load --connections {_CONNECTIONS} --in-flight {_IN_FLIGHT} --requests {requests}",
            "planned": requests,
            "requests": found.sent,
            "seconds": seconds,
            "ends": dict(found.ends),
            "latency_us": dict(found.latency_us),
            "swaps": swaps.done,
            "swap_errors": swaps.errors,
            "served": status.served,
            "written": status.written,
            "dropped": status.dropped,
            "failed": status.failed,
            "errors": {name: count - before.errors.get(name, 0) for name, count in status.errors.items()},
            "samples": samples.taken,
        },
    )


class _Samples:
    """While its context lasts, samples resident memory and the log's size once a second."""

    def __init__(self, running: Running) -> None:
        self.taken: list[dict[str, float]] = []
        self._running = running
        self._home = running.folder / "home"
        self._start = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="samples")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self.taken.append(
                {
                    "seconds": round(time.monotonic() - self._start, 3),
                    "rss_bytes": self._running.own_rss_bytes(),
                    "family_rss_bytes": self._running.rss_bytes(),
                    "log_bytes": sum(_size(part) for part in self._home.glob("log.db*")),
                }
            )


def _size(file: Path) -> int:
    """Bytes of a file; 0 for one that was removed since it was listed."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _status(home: Path) -> admin_pb2.GetStatusResponse:
    """The sidecar's counters, once the recorder has caught up."""
    deadline = time.monotonic() + _RECORD_SECONDS
    with grpc.insecure_channel(admin_target(home)) as channel:
        while True:
            found: admin_pb2.GetStatusResponse = admin_stub(channel).GetStatus(
                admin_pb2.GetStatusRequest(), timeout=30
            )
            accounted = found.written + found.dropped + found.failed
            if accounted >= found.served or time.monotonic() > deadline:
                return found
            time.sleep(0.1)
