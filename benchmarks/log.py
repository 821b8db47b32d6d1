"""What the log costs: the recorder's CPU time, and bytes in SQLite and in Parquet.

One row a call, so that every row has times of its own.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from benchmarks import machine
from benchmarks.log_home import record, running_home, write_again
from benchmarks.log_model import SHAPES, Shape
from benchmarks.log_traffic import Traffic, send
from sidecar.store.seal import seal
from sidecar.store.sealed import sealed_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.results import Plan

_ROWS = 1 << 15
_ROUNDS = 3
_AGAIN = 4


def measure(plan: Plan, only: Sequence[str] = ()) -> None:
    """Measure all shapes of rows, or those named, and save "log"."""
    context = machine.describe()
    shapes = [shape for shape in SHAPES if not only or shape.name in only]
    speed = [
        {"round": number, "shape": shape.name, **_speed(shape, int(_ROWS * plan.scale))}
        for number in range(min(plan.rounds, _ROUNDS))
        for shape in shapes
    ]
    plan.save("log", {**context, "speed": speed, "shapes": {shape.name: shape.label for shape in SHAPES}})


def _speed(shape: Shape, rows: int) -> dict[str, Any]:
    """One champion, two shadows: rows drained and written in CPU seconds of the recorder's thread."""
    print(f"{shape.name}: {rows:,} rows, one a call", flush=True)
    with running_home(shape, ring_rows=rows + 1) as home:
        home.store.given = []
        send(Traffic(home.target, shape.name, rows, 1))
        recorded = record(home, rows)
        again = write_again(home, _AGAIN)
        hot = _size_of(home.log)
        begun = time.process_time()
        moved = seal(home.log, home.path / "registry.db")
        return {
            **recorded,
            "again_cpu_seconds": again / _AGAIN,
            "hot_bytes": hot,
            "sealed_bytes": moved.bytes,
            "seal_cpu_seconds": time.process_time() - begun,
            "rows": rows,
        }


def _size_of(log: Path) -> int:
    with closing(sqlite3.connect(log)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    assert not sealed_folder(log).exists()
    return int((pages - free) * size)
