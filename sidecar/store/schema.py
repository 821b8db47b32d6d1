"""The log's tables. One SQLite row holds a micro-batch; `sidecar.codec` says what its cells mean."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import sqlite_utils

from sidecar.codec import SCORES, SERVED
from sidecar.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 4
"""Kept in the file's `user_version`."""

_OUTCOMES = """
    CREATE TABLE {name} (
       request_id TEXT NOT NULL,
       observed_ns INTEGER NOT NULL,
       label REAL NOT NULL,
       value REAL,
       recorded_ns INTEGER NOT NULL,{more}
       PRIMARY KEY (request_id, observed_ns)
    ) STRICT, WITHOUT ROWID
"""
_ISO = "strftime('%Y-%m-%dT%H:%M:%fZ', {column} / 1e9, 'unixepoch')"
_VIEWS = {
    # For people and for tools that know SQL only; `sidecar` itself reads the tables.
    "predictions": f"""
        SELECT id_prefix || json_each.value AS request_id,
               models.name AS task, models.version, models.digest,
               {_ISO.format(column="written_ns")} AS written, run, sequence AS batch
        FROM served JOIN models USING (model), json_each(request_ids)
    """,
    "candidate_scores": f"""
        SELECT id_prefix || json_each.value AS request_id,
               candidate.name AS task, candidate.version AS candidate, champion.version AS champion,
               {_ISO.format(column="written_ns")} AS written, sequence AS batch
        FROM scores JOIN models AS candidate ON candidate.model = scores.candidate
        JOIN models AS champion ON champion.model = scores.champion, json_each(request_ids)
    """,
    "all_outcomes": f"""
        SELECT request_id, label, value, {_ISO.format(column="observed_ns")} AS observed,
               {_ISO.format(column="recorded_ns")} AS recorded
        FROM (
            SELECT request_id, label, value, observed_ns, recorded_ns FROM outcomes
            UNION ALL
            SELECT request_id, label, value, observed_ns, recorded_ns FROM sealed_outcomes
        )
    """,
}


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
        # logged_ns: when it wrote last; see `LogStore.write`.
        run = {"started_ns": int, "closed_ns": int, "logged_ns": int, "ledger": str}
        counters = {"offered": int, "dropped": int, "failed": int, "sampled_out": int, "written": int}
        database.table("runs").create(
            {"run": int, **run, **counters},
            pk="run",
            not_null={"started_ns", "logged_ns", "ledger", *counters},
            defaults=dict.fromkeys(("logged_ns", *counters), 0),
        )
        # written_ns: when the batch was written; bytes: how many its cells have.
        about = {"written_ns": int, "bytes": int}
        served = {"run": int, "model": int, "first_event_ns": int, "last_event_ns": int, **about, **SERVED}
        table = _create_batches(database, "served", served, [("run", "runs"), ("model", "models")])
        table.create_index(["last_event_ns", "first_event_ns", "model", "rows"])
        table.create_index(["written_ns", "bytes"])
        scores = {"candidate": int, "champion": int, **about, **SCORES}
        table = _create_batches(database, "scores", scores, [("candidate", "models"), ("champion", "models")])
        table.create_index(["candidate", "champion", "written_ns", "rows"])
        table.create_index(["written_ns", "bytes"])
        # sqlite-utils cannot make a table whose primary key is its only tree. What is sealed keeps its key
        # here, so that an outcome that is sent again is still known.
        database.execute(_OUTCOMES.format(name="outcomes", more=""))
        database.execute(_OUTCOMES.format(name="sealed_outcomes", more="\n       file INTEGER NOT NULL,"))
        # What of the log lies in Parquet files. first_ns and last_ns: event times of served rows, observation
        # times of outcomes; first_written_ns and last_written_ns: when the rows came into the log.
        sealed = {"kind": str, "path": str, "rows": int, "bytes": int}
        times = {"first_ns": int, "last_ns": int, "first_written_ns": int, "last_written_ns": int}
        database.table("sealed_files").create(
            {"file": int, **sealed, "model": int, "champion": int, **times},
            pk="file",
            not_null={*sealed, *times},
            foreign_keys=[("model", "models", "model"), ("champion", "models", "model")],
        ).create_index(["path"], unique=True)
        # Which rows are gone because they were too old or too many: those written up to until_ns, or some.
        dropped = {"at_ns": int, "until_ns": int}
        database.table("dropped").create(dropped, not_null=dropped.keys())
        for name, query in _VIEWS.items():
            database.create_view(name, query)
        database.execute(f"PRAGMA user_version = {FORMAT}")


def _create_batches(
    database: sqlite_utils.Database, name: str, columns: dict[str, type], keys: list[tuple[str, str]]
) -> sqlite_utils.db.Table:
    sql = database.create_table_sql(
        name,
        {"sequence": int, **columns},
        pk="sequence",
        not_null=columns.keys(),
        foreign_keys=[(column, table, table.removesuffix("s")) for column, table in keys],
        strict=True,
    )
    # A number is not given again once its batch has left for a Parquet file: it goes on in the file's name.
    database.execute(sql.replace("INTEGER PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT", 1))
    return database.table(name)
