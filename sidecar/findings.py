"""Findings: what a monitor saw that somebody should look at, and how long it has been so.

A monitor says at every look everything that it finds. What was not there before opens, what goes on is
brought up to date, and what it no longer finds is closed. So a finding is told once, however long it lasts.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import sqlite_utils

from sidecar.canonical_json import canonical_json
from sidecar.errors import ConfigError, UnavailableError
from sidecar.small_file import open_small_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

FORMAT = 1
"""Kept in the file's `user_version`."""
_KEY = ("monitor", "model", "subject", "what")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    monitor: which one saw it, such as "drift". model: the digest of the version it is about, "" for none.
    subject: the raw field, or "score", "decision", "label", "utility", "features". what: the kind of finding
    in one word, such as "shift", "missing", "unit". size: how much, in the measure that `evidence` names.
    since_ns: event time from which on it is so. text: one sentence for a person, with its figures.
    cause: what may have led to it, "" where nothing is known. evidence: figures and names, plain JSON data.
    """

    monitor: str
    model: str
    subject: str
    what: str
    size: float
    since_ns: int
    text: str
    cause: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells it from other findings that are open at the same time."""
        return (self.monitor, self.model, self.subject, self.what)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A finding and the looks at which it was seen. closed_ns: None while it goes on."""

    finding: Finding
    opened_ns: int
    seen_ns: int
    closed_ns: int | None


class FindingStore:
    """The findings of one home, in the SQLite file at `path`, made when absent.

    One thread at a time, any number of processes.

    Raises ConfigError when the file is not one that this version reads; every method raises UnavailableError
    when the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._usable():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o640)  # figures of what customers sent
            self._connection = open_small_file(path)
        self._connection.row_factory = sqlite3.Row
        try:
            with self._usable():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def report(self, monitor: str, model: str, found: Sequence[Finding], at_ns: int) -> list[Finding]:
        """Take all that a look found about one model; give what was not open before.

        An open finding keeps the `since_ns` it was opened with. at_ns: when the look was taken.
        Raises ValueError for a finding of another monitor or model, and for two that share a key.
        """
        if any((one.monitor, one.model) != (monitor, model) for one in found):
            raise ValueError(f"a finding of another monitor than '{monitor}', or on another model")
        if len({one.key for one in found}) < len(found):
            raise ValueError(f"two findings of '{monitor}' share subject and kind")
        with self._transaction() as connection:
            open_now = _sightings(
                connection, "closed_ns IS NULL AND monitor = ? AND model = ?", (monitor, model)
            )
            known = {sighting.finding.key: sighting.finding for sighting in open_now}
            for one in found:
                if one.key in known:
                    _update(connection, replace(one, since_ns=known[one.key].since_ns), at_ns)
                else:
                    _insert(connection, one, at_ns)
            for key in known.keys() - {one.key for one in found}:
                _close(connection, key, at_ns)
        return [one for one in found if one.key not in known]

    def open(self, model: str | None = None) -> list[Sighting]:
        """What is found at present, oldest first; about one model (by digest) if given."""
        with self._usable():
            return _sightings(self._connection, "closed_ns IS NULL AND model = ifnull(?, model)", (model,))

    def all(self) -> list[Sighting]:
        """Everything that was ever found, oldest first."""
        with self._usable():
            return _sightings(self._connection, "TRUE", ())

    def _prepare(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        (tables,) = self._connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        if version == 0 and tables == 0:
            self._connection.execute("PRAGMA journal_mode = WAL")
            with self._transaction() as connection:
                _create(connection)
        elif version != FORMAT:
            raise ConfigError(
                f"{self._path} has findings of format {version}, this version reads format {FORMAT}; "
                "move it away"
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._usable():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise UnavailableError(f"the findings {self._path} cannot be used: {error}") from error


def _create(connection: sqlite3.Connection) -> None:
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
    if tables:
        return  # another process was first
    columns = {
        "sequence": int,
        **dict.fromkeys(_KEY, str),
        "size": float,
        **dict.fromkeys(("since_ns", "opened_ns", "seen_ns", "closed_ns"), int),
        **dict.fromkeys(("text", "cause", "evidence"), str),
    }
    sqlite_utils.Database(connection, strict=True).table("findings").create(
        columns, pk="sequence", not_null=columns.keys() - {"closed_ns", "sequence"}
    )
    # At most one open finding of each key, whoever writes.
    connection.execute(f"CREATE UNIQUE INDEX open ON findings ({', '.join(_KEY)}) WHERE closed_ns IS NULL")
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def _insert(connection: sqlite3.Connection, one: Finding, at_ns: int) -> None:
    connection.execute(
        """
        INSERT INTO findings (monitor, model, subject, what, size, since_ns, opened_ns, seen_ns, text, cause,
                              evidence)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (*one.key, one.size, one.since_ns, at_ns, at_ns, one.text, one.cause, canonical_json(one.evidence)),
    )


def _update(connection: sqlite3.Connection, one: Finding, at_ns: int) -> None:
    connection.execute(
        """
        UPDATE findings SET size = ?, since_ns = ?, seen_ns = ?, text = ?, cause = ?, evidence = ?
        WHERE closed_ns IS NULL AND monitor = ? AND model = ? AND subject = ? AND what = ?
        """,
        (one.size, one.since_ns, at_ns, one.text, one.cause, canonical_json(one.evidence), *one.key),
    )


def _close(connection: sqlite3.Connection, key: tuple[str, ...], at_ns: int) -> None:
    connection.execute(
        """
        UPDATE findings SET closed_ns = ?
        WHERE closed_ns IS NULL AND monitor = ? AND model = ? AND subject = ? AND what = ?
        """,
        (at_ns, *key),
    )


def _sightings(connection: sqlite3.Connection, where: str, values: tuple[str | None, ...]) -> list[Sighting]:
    rows = connection.execute(f"SELECT * FROM findings WHERE {where} ORDER BY sequence", values)  # noqa: S608 - our own text
    return [
        Sighting(
            Finding(
                monitor=row["monitor"],
                model=row["model"],
                subject=row["subject"],
                what=row["what"],
                size=row["size"],
                since_ns=row["since_ns"],
                text=row["text"],
                cause=row["cause"],
                evidence=json.loads(row["evidence"]),
            ),
            row["opened_ns"],
            row["seen_ns"],
            row["closed_ns"],
        )
        for row in rows
    ]
