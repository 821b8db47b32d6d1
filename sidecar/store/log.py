"""The log's one writer of rows."""

from __future__ import annotations

import fcntl
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sidecar.cells import Room
from sidecar.codec import WRITTEN, pack_scores, pack_served
from sidecar.domain import OutcomeReceipt, ScoreBatch
from sidecar.errors import ConflictError, UnavailableError
from sidecar.ledger import Ledger
from sidecar.store.runs import Run, RunTable
from sidecar.store.schema import create_tables, read_format

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sidecar.codec import Cell
    from sidecar.domain import ModelId, Outcome, ServedBatch
    from sidecar.feature_origin import Origins

_MODELS = 8
"""Models whose features are known: those that answer now, and the ones just before."""
BUSY_SECONDS = 5.0
"""How long a connection waits for another one's transaction."""
_PAGE_BYTES = 16_384
"""Batches are long: large pages take fewer calls. Larger ones yet would make single outcomes dear."""


class LogStore:
    """The one writer of the log at `path`, which is made when absent. One thread at a time.

    What `write` has returned for is on disk and survives a kill and a power cut. Raises ConflictError while
    another process writes this log, ConfigError when the file is not a log that this version reads, and
    UnavailableError when it cannot be opened or made.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = path.with_name(f"{path.name}.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise ConflictError(
                f"log {path} is being written by another process; stop that one or name another home"
            ) from None
        try:
            self._connection = _open(path)
        except sqlite3.Error as error:
            self._lock.close()
            raise UnavailableError(f"log {path} cannot be opened: {error}") from error
        except BaseException:
            self._lock.close()
            raise
        self._runs = RunTable(self._connection, path)
        self._run: Run | None = None
        self._written_ns = self._runs.logged_ns()
        self._origins: dict[str, Origins] = {}  # by digest, that of the newest batch last
        self._room = Room()

    def new_ledger(self) -> Ledger:
        """A ledger at zero for the next run, beside the log."""
        return Ledger.create(self.path.with_name(f"{self.path.name}.run-{self._runs.next_number()}.ledger"))

    def open_run(self, ledger: Ledger) -> Run:
        """Begin a run counted by `ledger`, and close the books of earlier runs whose process died."""
        now_ns = time.time_ns()
        with self._transaction():
            spent = self._runs.close_all(now_ns)
            self._run = self._runs.add(ledger, now_ns)
        for path in spent:
            path.unlink()
        return self._run

    def close_run(self) -> None:
        """Close this run's books with what its ledger says now, and remove the ledger's file."""
        with self._transaction():
            spent = self._runs.close_all(time.time_ns())
        for path in spent:
            path.unlink()
        self._run = None

    @property
    def lost_before(self) -> int:
        """Rows that earlier runs answered and lost, as far as is known."""
        return sum(run.lost for run in self._runs.all() if run.closed_ns is not None)

    def write(
        self,
        served: Sequence[ServedBatch],
        scores: Sequence[ScoreBatch],
        outcomes: Sequence[Sequence[Outcome]],
    ) -> list[OutcomeReceipt]:
        """Write everything in one transaction; give a receipt for each sequence of outcomes.

        Served rows and scores are added as they come, an outcome only when its (request_id, observed_ns) is
        new: the first one stays. All of it is written at one moment, later than that of any transaction
        before, even where the machine's clock was set back: so whoever knows the newest moment in the log can
        read later what was in it then. Raises UnavailableError when nothing was written: no room, or locked.
        """
        assert self._run is not None, "open_run comes first"
        self._written_ns = max(time.time_ns(), self._written_ns + 1)
        with self._transaction():
            for batch in served:
                if len(batch):
                    self._write_served(batch, self._run)
            for scored in _merged(scores):
                self._write_scores(scored)
            self._runs.count_written(self._run, sum(map(len, served)), self._written_ns)
            return [self._write_outcomes(call) for call in outcomes]

    def close(self) -> None:
        """Close the file. A run that is still open is closed by the next process."""
        self._connection.close()
        self._lock.close()

    def _write_served(self, batch: ServedBatch, run: Run) -> None:
        keys: dict[str, Cell] = {
            "run": run.number,
            "model": self._number_of(batch.model),
            "first_event_ns": int(batch.event_ns.min()),
            "last_event_ns": int(batch.event_ns.max()),
        }
        self._insert("served", keys, pack_served(batch, self._origins_of(batch.model.digest), self._room))

    def _origins_of(self, digest: str) -> Origins:
        origins = self._origins[digest] = self._origins.pop(digest, {})
        if len(self._origins) > _MODELS:
            del self._origins[next(iter(self._origins))]
        return origins

    def _write_scores(self, batch: ScoreBatch) -> None:
        keys: dict[str, Cell] = {
            "candidate": self._number_of(batch.model),
            "champion": self._number_of(batch.champion),
        }
        self._insert("scores", keys, pack_scores(batch))

    def _insert(self, table: str, keys: dict[str, Cell], cells: dict[str, Cell]) -> None:
        size = sum(len(cell) for cell in cells.values() if not isinstance(cell, int))
        row = {**keys, WRITTEN: self._written_ns, "bytes": size, **cells}
        values = ", ".join(f":{column}" for column in row)
        self._connection.execute(
            f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})",
            row,
        )

    def _write_outcomes(self, outcomes: Sequence[Outcome]) -> OutcomeReceipt:
        stored = 0
        conflicts = []
        for outcome in outcomes:
            key = (outcome.request_id, outcome.observed_ns)
            added = self._connection.execute(
                """
                INSERT INTO outcomes (request_id, observed_ns, label, value, recorded_ns)
                SELECT ?1, ?2, ?3, ?4, ?5
                WHERE NOT EXISTS (SELECT 1 FROM sealed_outcomes WHERE request_id = ?1 AND observed_ns = ?2)
                ON CONFLICT (request_id, observed_ns) DO NOTHING
                """,
                (*key, outcome.label, outcome.value, self._written_ns),
            )
            if added.rowcount:
                stored += 1
                continue
            known = self._connection.execute(
                """
                SELECT label, value FROM outcomes WHERE request_id = ?1 AND observed_ns = ?2
                UNION ALL
                SELECT label, value FROM sealed_outcomes WHERE request_id = ?1 AND observed_ns = ?2
                """,
                key,
            ).fetchone()
            if known != (outcome.label, outcome.value):
                conflicts.append(outcome.request_id)
        return OutcomeReceipt(stored, len(outcomes) - stored - len(conflicts), tuple(conflicts))

    def _number_of(self, model: ModelId) -> int:
        key = (model.name, model.version, model.digest)
        known = self._connection.execute(
            "SELECT model FROM models WHERE name = ? AND version = ? AND digest = ?", key
        ).fetchone()
        if known is None:
            added = self._connection.execute(
                "INSERT INTO models (name, version, digest) VALUES (?, ?, ?)", key
            )
            assert added.lastrowid is not None
            return added.lastrowid
        return int(known[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise UnavailableError(f"log {self.path}: {error}; nothing was written, try again") from error


def _open(path: Path) -> sqlite3.Connection:
    """The log at `path` for writing, with its tables."""
    path.touch(mode=0o640)  # what customers sent is not for everybody; SQLite's other files follow this one
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        if not read_format(connection, path):
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode = WAL")
            create_tables(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _merged(batches: Sequence[ScoreBatch]) -> list[ScoreBatch]:
    """The same scores in one batch for each pair of models; workers hand them over in small ones."""
    of_pair: dict[tuple[ModelId, ModelId], list[ScoreBatch]] = {}
    for batch in batches:
        if len(batch):
            of_pair.setdefault((batch.model, batch.champion), []).append(batch)
    return [ScoreBatch.concat(parts) for parts in of_pair.values()]
