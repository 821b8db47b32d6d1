"""A home with a log to measure: real bundles, the native engine, the recorder and its shadows.

Rows are asked for over gRPC and wait in the ring of the engine; only then does the recorder start, so that
its speed is its own and not the traffic's. CPU time is that of the recorder's thread: other work on the
machine counts only by what it does to caches.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.environments import WORK
from benchmarks.log_model import make_bundle
from sidecar.config import Limits, Listeners, Native, Recorder, Shadow
from sidecar.domain import Deployment
from sidecar.engine.choice import find_native
from sidecar.engine.native import NativeEngine
from sidecar.profile.live import NoProfiles
from sidecar.recorder import Recorder as RecorderThread
from sidecar.registry import Reason, Registry
from sidecar.shadow.supervisor import ShadowSupervisor
from sidecar.store.log import LogStore
from sidecar.store.reader import LogReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.log_model import Shape
    from sidecar.bundle import Bundle
    from sidecar.domain import Outcome, OutcomeReceipt, ScoreBatch, ServedBatch
    from sidecar.ledger import Ledger

_WHY = Reason("benchmarks", "to measure")


class TimedStore(LogStore):
    """A LogStore that adds up the CPU time of `write`. given: what it wrote, kept where there is a list."""

    write_ns = 0
    given: list[tuple[Sequence[ServedBatch], Sequence[ScoreBatch]]] | None = None

    def write(
        self,
        served: Sequence[ServedBatch],
        scores: Sequence[ScoreBatch],
        outcomes: Sequence[Sequence[Outcome]],
    ) -> list[OutcomeReceipt]:
        """As LogStore's."""
        if self.given is not None:
            self.given.append((served, scores))
        before = time.thread_time_ns()
        try:
            return super().write(served, scores, outcomes)
        finally:
            self.write_ns += time.thread_time_ns() - before


@dataclass
class Home:
    """A home with a champion and two candidates of one shape, and an engine that answers in it."""

    path: Path
    shape: Shape
    bundles: list[Bundle]
    store: TimedStore
    engine: NativeEngine
    target: str
    ledger: Ledger
    deployment: Deployment

    @property
    def log(self) -> Path:
        """Its log."""
        return self.path / "log.db"


@contextmanager
def running_home(shape: Shape, ring_rows: int) -> Iterator[Home]:
    """A new home of one shape, and in it an engine that answers until the context ends."""
    path = WORK / "log" / shape.name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    bundles = [make_bundle(path / "bundles", shape, version) for version in ("1", "2", "3")]
    with Registry(path / "registry.db") as registry:
        registry.create()
        for bundle in bundles:
            registry.register(bundle, _WHY)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="engine")
    thread.start()
    store = TimedStore(path / "log.db")
    ledger = store.new_ledger()
    engine = NativeEngine(find_native(), Native())

    def call(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(120)

    try:
        ends = call(engine.start(path, Listeners(), Limits(ring_rows=ring_rows), ledger))
        store.open_run(ledger)
        deployment = Deployment(1, bundles[0].ref, tuple(bundle.ref for bundle in bundles[1:]))
        call(engine.deploy(deployment))
        yield Home(path, shape, bundles, store, engine, f"unix:{ends.uds}", ledger, deployment)
    finally:
        call(engine.stop(0))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        store.close()
        ledger.close()


def write_again(home: Home, times: int) -> float:
    """CPU seconds that the transactions in `given` take so many times over, in another log."""
    assert home.store.given
    store = TimedStore(home.path / "again" / "log.db")
    ledger = store.new_ledger()
    store.open_run(ledger)
    for served, scores in home.store.given * times:
        store.write(served, scores, ())
    store.close_run()
    store.close()
    ledger.close()
    return store.write_ns / 1e9


def record(home: Home, rows: int) -> dict[str, Any]:
    """Have the recorder take what is in the ring; until the candidates have scored it all."""
    shadows = ShadowSupervisor("python", Shadow(queue_rows=2 * rows))
    shadows.deploy(home.deployment)
    while any(status.state != "running" for status in shadows.status()):
        time.sleep(0.01)
    recorder = RecorderThread(
        home.engine, home.store, shadows, home.ledger, Recorder(), profiles=NoProfiles()
    )
    begun = time.perf_counter()
    recorder.start()
    clock = time.pthread_getcpuclockid(recorder._thread.ident or 0)  # noqa: SLF001 - its time is the result
    while recorder.stats().written < rows:
        time.sleep(0.002)
    served_seconds, served_wall = time.clock_gettime(clock), time.perf_counter() - begun
    with LogReader(home.log) as reader:
        while reader.counts().scores < 2 * rows:
            time.sleep(0.02)
    cpu_seconds = time.clock_gettime(clock)
    stats = recorder.stats()
    recorder.stop(0)
    assert (stats.written, stats.failed, home.engine.stats().dropped) == (rows, 0, 0)
    return {
        "cpu_seconds": cpu_seconds,
        "until_served_cpu_seconds": served_seconds,
        "until_served_seconds": served_wall,
        "write_cpu_seconds": home.store.write_ns / 1e9,
    }
