"""The log's tables. One SQLite row holds a micro-batch; `sidecar.codec` says what its cells mean."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import sqlite_utils

from sidecar.codec import SCORES, SERVED
from sidecar.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
"""Kept in the file's `user_version`."""


def read_format(connection: sqlite3.Connection, path: Path) -> int:
    """The format of the file: 0 when it holds nothing yet, else FORMAT.

    Raises ConfigError when it is no SQLite file, not a log, or of a format this version does not read;
    UnavailableError when it cannot be read now.
    """
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as error:
        raise UnavailableError(f"log {path}: {error}; try again") from error
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"{path} cannot be read as a log: {error}; move it away") from error
    if version == 0 and tables == 0:
        return 0
    if version == 0:
        raise ConfigError(f"{path} is a database of another kind; move it away or name another home")
    if version != FORMAT:
        raise ConfigError(
            f"log {path} has format {version}, this version reads format {FORMAT}; upgrade model-sidecar"
        )
    return FORMAT


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of FORMAT in an empty file, whole or not at all."""
    database = sqlite_utils.Database(connection, strict=True)
    with database.atomic():
        database.table("models").create(
            {"model": int, "name": str, "version": str, "digest": str},
            pk="model",
            not_null={"name", "version", "digest"},
        ).create_index(["digest", "name", "version"], unique=True)
        run = {"started_ns": int, "closed_ns": int, "ledger": str}
        counters = {"offered": int, "dropped": int, "failed": int, "written": int}
        database.table("runs").create(
            {"run": int, **run, **counters},
            pk="run",
            not_null={"started_ns", "ledger", *counters},
            defaults=dict.fromkeys(counters, 0),
        )
        served = {"run": int, "model": int, "first_event_ns": int, "last_event_ns": int, **SERVED}
        database.table("served").create(
            {"sequence": int, **served},
            pk="sequence",
            not_null=served.keys(),
            foreign_keys=[("run", "runs", "run"), ("model", "models", "model")],
        ).create_index(["last_event_ns", "first_event_ns", "model", "rows"])
        scores = {"candidate": int, "champion": int, **SCORES}
        database.table("scores").create(
            {"sequence": int, **scores},
            pk="sequence",
            not_null=scores.keys(),
            foreign_keys=[("candidate", "models", "model"), ("champion", "models", "model")],
        ).create_index(["candidate", "champion", "rows"])
        # sqlite-utils cannot make a table whose primary key is its only tree.
        database.execute(
            """
            CREATE TABLE outcomes (
               request_id TEXT NOT NULL,
               observed_ns INTEGER NOT NULL,
               label REAL NOT NULL,
               value REAL,
               PRIMARY KEY (request_id, observed_ns)
            ) STRICT, WITHOUT ROWID
            """
        )
        database.execute(f"PRAGMA user_version = {FORMAT}")
