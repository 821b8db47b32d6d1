"""Which rows are too many or too old, and how they go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.store.seal import sealing
from sidecar.store.sealed import sealed_folder

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sidecar import config

_DAY_NS = 86_400 * 10**9
_MB = 1024 * 1024
_HOT = ("served", "scores")


@dataclass(frozen=True, slots=True)
class Held:
    """What can only be kept or dropped whole: a sealed file, or a batch in SQLite (`table`)."""

    table: str
    number: int
    bytes: int
    last_written_ns: int


def surplus(held: Iterable[Held], settings: config.Log, now_ns: int) -> list[Held]:
    """What is older than `keep_days`, and of the rest the oldest that exceeds `keep_mb`; 0 is no limit.

    >>> from sidecar.config import Log
    >>> held = [Held("served", number, 2 * _MB, number) for number in (1, 2, 3)]
    >>> [each.number for each in surplus(held, Log(keep_days=0, keep_mb=5), 9)]
    [1]
    """
    oldest_first = sorted(held, key=lambda each: each.last_written_ns)
    limit_ns = now_ns - int(settings.keep_days * _DAY_NS) if settings.keep_days else 0
    room = settings.keep_mb * _MB if settings.keep_mb else sum(each.bytes for each in oldest_first)
    dropped = []
    size = sum(each.bytes for each in oldest_first)
    for each in oldest_first:
        if each.last_written_ns >= limit_ns and size <= room:
            break
        dropped.append(each)
        size -= each.bytes
    return dropped


def drop_surplus(log: Path, settings: config.Log, now_ns: int) -> int:
    """Drop what `surplus` says, and outcomes in SQLite that are too old; gives the bytes dropped.

    Raises as `sealing` does.
    """
    root = sealed_folder(log)
    with sealing(log) as connection:
        dropped = surplus(_held(connection), settings, now_ns)
        files = [each.number for each in dropped if each.table == "sealed_files"]
        paths = _paths(connection, files)
        connection.execute("BEGIN IMMEDIATE")
        for table, key in (("sealed_files", "file"), *((table, "sequence") for table in _HOT)):
            connection.executemany(
                f"DELETE FROM {table} WHERE {key} = ?",
                [(each.number,) for each in dropped if each.table == table],
            )
        if files:
            connection.execute(
                "DELETE FROM sealed_outcomes WHERE file NOT IN (SELECT file FROM sealed_files)"
            )
        if dropped:
            until_ns = max(each.last_written_ns for each in dropped)
            connection.execute("INSERT INTO dropped (at_ns, until_ns) VALUES (?, ?)", (now_ns, until_ns))
        if settings.keep_days:
            limit_ns = now_ns - int(settings.keep_days * _DAY_NS)
            connection.execute("DELETE FROM outcomes WHERE recorded_ns < ?", (limit_ns,))
        connection.execute("COMMIT")
        for path in paths:
            (root / path).unlink(missing_ok=True)
    return sum(each.bytes for each in dropped)


def _held(connection: sqlite3.Connection) -> list[Held]:
    rows = connection.execute(
        "SELECT 'sealed_files', file, bytes, last_written_ns FROM sealed_files"
    ).fetchall()
    for table in _HOT:
        rows += connection.execute(f"SELECT '{table}', sequence, bytes, written_ns FROM {table}").fetchall()
    return [Held(*row) for row in rows]


def _paths(connection: sqlite3.Connection, files: Sequence[int]) -> list[str]:
    named = dict(connection.execute("SELECT file, path FROM sealed_files").fetchall())
    return [named[file] for file in files]
