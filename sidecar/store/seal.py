"""Sealing: rows leave SQLite for Parquet files. One process at a time; see `sidecar.store.sealed`."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.codec import SCORE_COLUMNS, SERVED_COLUMNS, WRITTEN, unpack_columns
from sidecar.domain import ModelId, to_ids
from sidecar.errors import ConflictError, UnavailableError
from sidecar.store.layout import Layouts
from sidecar.store.log import BUSY_SECONDS
from sidecar.store.parquet import RESERVED, to_table, write_table
from sidecar.store.sealed import (
    KIND_OUTCOMES,
    KIND_SCORES,
    KIND_SERVED,
    hidden,
    partition,
    sealed_folder,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sidecar.codec import Columns
    from sidecar.store.layout import Layout

_STEP_BYTES = 64 * 1024 * 1024
"""Of packed cells in one file: bounds the memory, and how long their leaving holds SQLite's write lock."""
_STEP_OUTCOMES = 100_000
_DAY_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a run of sealing moved."""

    files: int = 0
    rows: int = 0
    bytes: int = 0

    def __add__(self, other: Sealed) -> Sealed:
        return Sealed(self.files + other.files, self.rows + other.rows, self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class _Group:
    """Batches that go into one file. numbers: their sequences. champion: of scores."""

    kind: str
    numbers: list[int]
    model: int
    champion: int | None
    day: str


@contextmanager
def sealing(log: Path) -> Iterator[sqlite3.Connection]:
    """A connection for whoever alone seals and drops; what an earlier one was killed at is finished first.

    Raises ConflictError while another process does, and UnavailableError for what SQLite or the files refuse.
    """
    root = sealed_folder(log)
    root.mkdir(mode=0o750, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(f"{root} is being sealed by another process; let it finish") from None
        try:
            with closing(sqlite3.connect(log, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA foreign_keys = ON")
                _tidy(connection, root)
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise UnavailableError(f"log {log} is not sealed: {error}; it stays as it is") from error


def seal(log: Path, registry: Path) -> Sealed:
    """Move every row that is in SQLite now into Parquet files.

    registry: of the home, for the names of columns. Raises ConfigError without pyarrow, else as `sealing`.
    """
    layouts = Layouts(registry, RESERVED)
    root = sealed_folder(log)
    moved = Sealed()
    with sealing(log) as connection:
        models = {
            number: ModelId(*model)
            for number, *model in connection.execute("SELECT model, name, version, digest FROM models")
        }
        for kind in (KIND_SERVED, KIND_SCORES):
            (last,) = connection.execute(f"SELECT ifnull(MAX(sequence), 0) FROM {kind}").fetchone()
            while group := _next_group(connection, kind, last):
                moved += _seal_batches(connection, root, group, models, layouts)
        while part := _next_outcomes(connection):
            moved += _seal_outcomes(connection, root, part)
    return moved


def _next_group(connection: sqlite3.Connection, kind: str, last: int) -> _Group | None:
    """The oldest batches of one model, or pair, and one day."""
    pair = "model, NULL AS champion" if kind == KIND_SERVED else "candidate AS model, champion"
    group: _Group | None = None
    size = 0
    for row in connection.execute(
        f"SELECT sequence, {pair}, written_ns, bytes FROM {kind} WHERE sequence <= ? ORDER BY sequence",
        (last,),
    ):
        day = f"{datetime.fromtimestamp(row['written_ns'] // 10**9, UTC):%Y-%m-%d}"
        if group is None:
            group = _Group(kind, [], row["model"], row["champion"], day)
        if (row["model"], row["champion"], day) != (group.model, group.champion, group.day):
            continue
        size += row["bytes"]
        if group.numbers and size > _STEP_BYTES:
            break
        group.numbers.append(row["sequence"])
    return group


def _seal_batches(
    connection: sqlite3.Connection,
    root: Path,
    group: _Group,
    models: Mapping[int, ModelId],
    layouts: Layouts,
) -> Sealed:
    model = models[group.model]
    served = group.kind == KIND_SERVED
    names = (*(SERVED_COLUMNS if served else SCORE_COLUMNS), WRITTEN)
    parts: list[Columns] = []
    for number in group.numbers:
        cells = connection.execute(f"SELECT * FROM {group.kind} WHERE sequence = ?", (number,)).fetchone()
        parts.append(unpack_columns(cells, names))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in names}
    first_written_ns, last_written_ns = int(columns[WRITTEN].min()), int(columns[WRITTEN].max())
    facts = {"task": model.name, "version": model.version, "digest": model.digest}
    layout: Layout | None = None
    if served:
        layout = layouts.of(model.digest, columns)
        first_ns, last_ns = int(columns["event_ns"].min()), int(columns["event_ns"].max())
    else:
        assert group.champion is not None
        champion = models[group.champion]
        facts |= {"champion": champion.version, "champion_digest": champion.digest}
        first_ns, last_ns = first_written_ns, last_written_ns
    name = f"{group.numbers[0]:012d}-{group.numbers[-1]:012d}.parquet"
    path = root / partition(group.kind, group.day, model.digest) / name
    size = _write(to_table(columns, layout, facts), path)
    rows = len(columns["score"])
    with _transaction(connection):
        _count(
            connection,
            kind=group.kind,
            path=str(path.relative_to(root)),
            rows=rows,
            bytes=size,
            model=group.model,
            champion=group.champion,
            first_ns=first_ns,
            last_ns=last_ns,
            first_written_ns=first_written_ns,
            last_written_ns=last_written_ns,
        )
        connection.executemany(
            f"DELETE FROM {group.kind} WHERE sequence = ?",
            [(number,) for number in group.numbers],
        )
    _name(path)
    return Sealed(1, rows, size)


def _next_outcomes(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    """Outcomes of the oldest day, not too many."""
    (oldest_ns,) = connection.execute("SELECT MIN(recorded_ns) FROM outcomes").fetchone()
    if oldest_ns is None:
        return []
    start_ns = oldest_ns - oldest_ns % _DAY_NS
    return connection.execute(
        "SELECT request_id, observed_ns, label, value, recorded_ns FROM outcomes"
        " WHERE recorded_ns >= ? AND recorded_ns < ? ORDER BY request_id, observed_ns LIMIT ?",
        (start_ns, start_ns + _DAY_NS, _STEP_OUTCOMES),
    ).fetchall()


def _seal_outcomes(connection: sqlite3.Connection, root: Path, rows: Sequence[sqlite3.Row]) -> Sealed:
    request_ids, observed_ns, label, value, recorded_ns = zip(*rows, strict=True)
    columns = {
        "request_ids": to_ids(request_ids),
        "label": np.array(label, np.float64),
        "value": np.array(value, np.float64),
        "observed_ns": np.array(observed_ns, np.int64),
        "recorded_ns": np.array(recorded_ns, np.int64),
    }
    first_written_ns, last_written_ns = min(recorded_ns), max(recorded_ns)
    day = f"{datetime.fromtimestamp(first_written_ns // 10**9, UTC):%Y-%m-%d}"
    (number,) = connection.execute("SELECT ifnull(MAX(file), 0) + 1 FROM sealed_files").fetchone()
    name = f"{first_written_ns:020d}-{number:012d}.parquet"
    path = root / partition(KIND_OUTCOMES, day, None) / name
    size = _write(to_table(columns, None, {}), path)
    connection.execute("CREATE TEMP TABLE leaving (request_id TEXT, observed_ns INTEGER)")
    connection.executemany("INSERT INTO leaving VALUES (?, ?)", zip(request_ids, observed_ns, strict=True))
    with _transaction(connection):
        file = _count(
            connection,
            kind=KIND_OUTCOMES,
            path=str(path.relative_to(root)),
            rows=len(rows),
            bytes=size,
            model=None,
            champion=None,
            first_ns=min(observed_ns),
            last_ns=max(observed_ns),
            first_written_ns=first_written_ns,
            last_written_ns=last_written_ns,
        )
        connection.execute(
            "INSERT INTO sealed_outcomes (request_id, observed_ns, label, value, recorded_ns, file)"
            " SELECT request_id, observed_ns, label, value, recorded_ns, ? FROM outcomes"
            " WHERE (request_id, observed_ns) IN (SELECT request_id, observed_ns FROM leaving)",
            (file,),
        )
        connection.execute(
            "DELETE FROM outcomes"
            " WHERE (request_id, observed_ns) IN (SELECT request_id, observed_ns FROM leaving)"
        )
    connection.execute("DROP TABLE leaving")
    _name(path)
    return Sealed(1, len(rows), size)


def _count(connection: sqlite3.Connection, **about: Any) -> int:
    """Count a file; gives its number."""
    values = ", ".join(f":{column}" for column in about)
    added = connection.execute(
        f"INSERT INTO sealed_files ({', '.join(about)}) VALUES ({values})",
        about,
    )
    assert added.lastrowid is not None
    return added.lastrowid


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _write(table: Any, path: Path) -> int:
    """Write a file under its hidden name, to the disk; gives its bytes."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    unnamed = hidden(path)
    write_table(table, unnamed)
    unnamed.chmod(0o640)
    _to_disk(unnamed)
    _to_disk(path.parent)
    return unnamed.stat().st_size


def _name(path: Path) -> None:
    hidden(path).rename(path)
    _to_disk(path.parent)


def _tidy(connection: sqlite3.Connection, root: Path) -> None:
    """Name what is counted, and remove what is not: the two things that a kill leaves."""
    counted = {root / path for (path,) in connection.execute("SELECT path FROM sealed_files")}
    for path in counted:
        if not path.exists() and hidden(path).exists():
            _name(path)
    for found in (*root.glob("*/**/*.parquet"), *root.glob("*/**/.*.parquet.sealing")):
        if found not in counted:
            found.unlink()


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
