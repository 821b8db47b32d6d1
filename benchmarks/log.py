"""What the log costs and gives: rows through the real engine, recorder, shadows, store, sealing and join.

Rows are asked for over gRPC and wait in the ring of the native engine; only then does the recorder start, so
that its speed is its own and not the traffic's. Two shapes of rows and two ways of asking, see below. CPU
time is that of the recorder's thread: other work on the machine counts only by what it does to caches.

    speed, bytes    one row a call, so that every row has times of its own
    slice, again    512 rows a call, because a million calls of one row would take minutes
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import machine
from benchmarks.environments import WORK
from benchmarks.log_model import FULL, MIXED, SHAPES, Shape, make_bundle
from benchmarks.log_traffic import Traffic, send
from sidecar.codec import SERVED_COLUMNS
from sidecar.config import Limits, Listeners, Native, Recorder, Shadow
from sidecar.domain import Deployment, Outcome
from sidecar.engine.choice import find_native
from sidecar.engine.native import NativeEngine
from sidecar.profile.live import NoProfiles
from sidecar.recorder import Recorder as RecorderThread
from sidecar.registry import Reason, Registry
from sidecar.session import load_model
from sidecar.shadow.supervisor import ShadowSupervisor
from sidecar.signature import Blocks
from sidecar.store.log import LogStore
from sidecar.store.reader import LogReader
from sidecar.store.seal import seal
from sidecar.store.sealed import sealed_folder
from trainer.join import read_candidate, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.results import Plan
    from sidecar.bundle import Bundle
    from sidecar.domain import OutcomeReceipt, ScoreBatch, ServedBatch

ROWS_ONE_BY_ONE = 1 << 17
ROWS_OF_SLICE = 1_000_000
ROWS_A_CALL = 512
LABELLED = 0.8
_OUTCOMES_A_CALL = 10_000
_READS = 3
_WHY = Reason("benchmarks", "to measure")


class TimedStore(LogStore):
    """A LogStore that adds up the CPU time of `write`."""

    write_ns = 0

    def write(
        self,
        served: Sequence[ServedBatch],
        scores: Sequence[ScoreBatch],
        outcomes: Sequence[Sequence[Outcome]],
    ) -> list[OutcomeReceipt]:
        """As LogStore's."""
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
    parts: dict[str, Any] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """Its log."""
        return self.path / "log.db"


def measure(plan: Plan, only: Sequence[str] = ()) -> None:
    """Measure all shapes, or those named, and save "log"."""
    context = machine.describe()
    shapes = [shape for shape in SHAPES if not only or shape.name in only]
    speed = [
        {"round": number, "shape": shape.name, **_speed(shape, int(ROWS_ONE_BY_ONE * plan.scale))}
        for number in range(min(plan.rounds, 3))
        for shape in shapes
    ]
    plan.save(
        "log",
        {
            **context,
            "speed": speed,
            "slice": _slice(MIXED, int(ROWS_OF_SLICE * plan.scale)) if MIXED in shapes else None,
            "shapes": {MIXED.name: "mixed", FULL.name: "full precision"},
        },
    )


def _speed(shape: Shape, rows: int) -> dict[str, Any]:
    """One champion, two shadows: rows drained and written in CPU seconds of the recorder's thread."""
    print(f"{shape.name}: {rows:,} rows, one a call", flush=True)
    with _home(shape, ring_rows=rows + 1) as home:
        send(Traffic(home.target, shape.name, rows, 1))
        recorded = _record(home, rows)
        hot = _size_of(home.log)
        begun = time.process_time()
        moved = seal(home.log, home.path / "registry.db")
        return {
            **recorded,
            "hot_bytes": hot,
            "sealed_bytes": moved.bytes,
            "seal_cpu_seconds": time.process_time() - begun,
            "rows": rows,
        }


def _slice(shape: Shape, rows: int) -> dict[str, Any]:
    """Read a million rows with their outcomes and scores, from SQLite and from Parquet; score them again."""
    print(f"{shape.name}: {rows:,} rows, {ROWS_A_CALL} a call", flush=True)
    with _home(shape, ring_rows=rows + ROWS_A_CALL) as home:
        send(Traffic(home.target, shape.name, rows, ROWS_A_CALL))
        recorded = _record(home, rows)
        _report_outcomes(home, rows)
        hot = _read(home)
        moved = seal(home.log, home.path / "registry.db")
        sealed = _read(home)
        return {
            "rows": rows,
            "recorded": recorded,
            "hot": hot,
            "sealed": sealed,
            "sealed_bytes": moved.bytes,
            "again": _score_again(home),
        }


@contextmanager
def _home(shape: Shape, ring_rows: int) -> Iterator[Home]:
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
        home = Home(path, shape, bundles, store, engine, f"unix:{ends.uds}")
        home.parts = {"ledger": ledger, "deployment": deployment}
        yield home
    finally:
        call(engine.stop(0))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        store.close()
        ledger.close()


def _record(home: Home, rows: int) -> dict[str, Any]:
    """Have the recorder take what is in the ring; until the candidates have scored it all."""
    shadows = ShadowSupervisor(Shadow(queue_rows=2 * rows))
    shadows.deploy(home.parts["deployment"])
    while any(status.state != "running" for status in shadows.status()):
        time.sleep(0.01)
    recorder = RecorderThread(
        home.engine, home.store, shadows, home.parts["ledger"], Recorder(), profiles=NoProfiles()
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


def _report_outcomes(home: Home, rows: int) -> None:
    ledger = home.store.new_ledger()
    home.store.open_run(ledger)
    rng = np.random.default_rng(1)
    with LogReader(home.log) as reader:
        parts = [part.columns for part in reader.served_parts(("request_ids", "event_ns"))]
    ids = np.concatenate([part["request_ids"] for part in parts])
    event_ns = np.concatenate([part["event_ns"] for part in parts])
    chosen = rng.permutation(rows)[: int(LABELLED * rows)]
    outcomes = [
        Outcome(request_id, float(label), None, observed_ns)
        for request_id, label, observed_ns in zip(
            ids[chosen].tolist(),
            rng.integers(0, 2, len(chosen)).tolist(),
            (event_ns[chosen] + 1).tolist(),
            strict=True,
        )
    ]
    for start in range(0, len(outcomes), _OUTCOMES_A_CALL):
        home.store.write([], [], [outcomes[start : start + _OUTCOMES_A_CALL]])
    home.store.close_run()
    ledger.close()


def _read(home: Home) -> dict[str, Any]:
    """The joined slice as the gate reads it: fields, scores, decisions, times, labels, both candidates."""
    champion, *candidates = (bundle.model.digest for bundle in home.bundles)
    seconds, cpu = [], []
    for _ in range(_READS):
        begun, begun_cpu = time.perf_counter(), time.process_time()
        with LogReader(home.log) as reader:
            rows = read_rows(reader, home.shape.signature, timedelta(0), champion=champion)
            scored = [read_candidate(reader, each, champion, rows) for each in candidates]
        seconds.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - begun_cpu)
        begun = time.perf_counter()
    return {
        "rows": len(rows),
        "labelled": int(np.count_nonzero(rows.labelled)),
        "scored": [int(np.count_nonzero(each.valued)) for each in scored],
        "seconds": seconds,
        "cpu_seconds": cpu,
    }


def _score_again(home: Home) -> dict[str, Any]:
    """Run the champion's bundle on the raw fields of every logged row; count rows that differ in a bit."""
    model = load_model(home.bundles[0].path)
    rows = features = scores = decisions = 0
    with LogReader(home.log) as reader:
        names = ("numbers", "integers", "texts", "features", "score", "decision")
        assert set(names) <= SERVED_COLUMNS.keys()
        for part in reader.served_parts(names):
            logged = part.columns
            made = model.run(Blocks(logged["numbers"], logged["integers"], logged["texts"]))
            rows += len(made.score)
            differs = made.features.view(np.uint32) != logged["features"].view(np.uint32)
            features += int(np.count_nonzero(differs.any(axis=1)))
            scores += int(np.count_nonzero(made.score.view(np.uint32) != logged["score"].view(np.uint32)))
            decisions += int(np.count_nonzero(made.decision != logged["decision"]))
    return {
        "rows": rows,
        "features_differ": features,
        "scores_differ": scores,
        "decisions_differ": decisions,
    }


def _size_of(log: Path) -> int:
    with closing(sqlite3.connect(log)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    assert not sealed_folder(log).exists()
    return int((pages - free) * size)
