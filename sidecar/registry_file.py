"""The registry's file: its tables, how it is made, and its transactions."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import sqlite_utils

from sidecar.errors import ConfigError, UnavailableError
from sidecar.lifecycle import ModelState
from sidecar.small_file import open_small_file

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = 6

_APPEND_ONLY = ("transitions", "decisions", "looks", "audit")


class RegistryFile:
    """The SQLite file at `path`, for any number of threads; made by the first change.

    Every failure of the file itself is an UnavailableError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One write transaction, begun at once so that what it reads cannot change under it."""
        with self._lock, self._translated():
            if self._connection is None:
                _create(self._path)
                self._connection = _connect(self._path)
            with _transaction(self._connection, "BEGIN IMMEDIATE"):
                yield self._connection

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection | None]:
        """One read transaction, so that several questions see the same moment; None if there is no file."""
        with self._lock, self._translated():
            if self._connection is None:
                if not self._path.exists():
                    yield None
                    return
                self._connection = _connect(self._path)
            with _transaction(self._connection, "BEGIN"):
                yield self._connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise UnavailableError(f"the registry {self._path} cannot be used: {error}") from error


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _create(path: Path) -> None:
    """Make the registry's file unless there is one.

    The file appears whole or not at all, however many processes try at once: each builds it elsewhere, and
    the first to link it to `path` wins. (Turning on the write-ahead log in place would race.)
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".registry-") as folder:
        built = Path(folder, path.name)
        connection = sqlite3.connect(built, isolation_level=None)
        _build(sqlite_utils.Database(connection))
        connection.close()
        with suppress(FileExistsError):
            os.link(built, path)


def _connect(path: Path) -> sqlite3.Connection:
    """Open the file for one thread at a time.

    Raises ConfigError when the file was written by another version of this program.
    """
    connection = open_small_file(path)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA synchronous = FULL")
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found != SCHEMA:
        connection.close()
        raise ConfigError(f"{path} is a registry of schema {found}; this version reads schema {SCHEMA}")
    return connection


def _build(db: sqlite_utils.Database) -> None:
    db.enable_wal()
    db.table("versions").create(
        {
            "digest": str,
            "name": str,
            "version": str,
            "state": str,
            "signature_digest": str,
            "path": str,
            "registered_ns": int,
        },
        pk="digest",
        not_null={"name", "version", "state", "signature_digest", "path", "registered_ns"},
    )
    db.table("transitions").create(
        {
            "sequence": int,
            "digest": str,
            "from_state": str,
            "to_state": str,
            "serving": int,
            "actor": str,
            "why": str,
            "evidence_digest": str,
            "at_ns": int,
            "share": float,
            "drawn_by": str,
            "successor": str,
        },
        pk="sequence",
        not_null={"digest", "to_state", "serving", "actor", "why", "evidence_digest", "at_ns", "successor"},
        foreign_keys=[("digest", "versions", "digest")],
    )
    db.table("transitions").create_index(["digest"])
    db.table("activations").create(
        {"generation": int, "sidecar": str, "error": str, "at_ns": int},
        pk=("generation", "sidecar"),
        not_null={"error", "at_ns"},
    )
    db.table("decisions").create(
        {
            "sequence": int,
            "candidate": str,
            "champion": str,
            "action": str,
            "reasons": str,
            "e_value": float,
            "wanted": float,
            "budget": float,
            "budget_left": float,
            "evidence_digest": str,
            "policy_digest": str,
            "evidence_json": str,
            "policy_json": str,
            "decided_ns": int,
            "logged_ns": int,
            "actor": str,
        },
        pk="sequence",
    )
    db.table("looks").create(
        {"as_of_ns": int, "logged_ns": int},
        pk=("logged_ns", "as_of_ns"),
        not_null={"as_of_ns", "logged_ns"},
    )
    db.table("audit").create(
        {"number": int, "kind": str, "row": int, "digest": str, "link": str},
        pk="number",
        not_null={"kind", "row", "digest", "link"},
    )
    db.table("audit").create_index(["kind", "row"], unique=True)
    # What sqlite-utils has no words for: rules that the database keeps, whoever writes.
    for state in (ModelState.CANARY, ModelState.CHAMPION, ModelState.STANDBY):
        db.execute(f"CREATE UNIQUE INDEX one_{state} ON versions (state) WHERE state = '{state}'")
    db.execute("CREATE INDEX serving ON transitions (sequence) WHERE serving")
    for table in _APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            db.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
    db.execute(f"PRAGMA user_version = {SCHEMA}")
