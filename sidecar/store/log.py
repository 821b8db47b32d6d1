"""The log's one writer and its readers."""

from __future__ import annotations

import fcntl
import sqlite3
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from sidecar.codec import pack_scores, pack_served, unpack_scores, unpack_served
from sidecar.domain import ModelId, OutcomeReceipt, ServedBatch
from sidecar.errors import ConflictError, NotFoundError, UnavailableError
from sidecar.ledger import Ledger
from sidecar.store.runs import Run, RunTable
from sidecar.store.schema import create_tables, read_format

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from sidecar.codec import Cell
    from sidecar.domain import Outcome, ScoreBatch

_BUSY_SECONDS = 5.0
_INT64 = np.iinfo(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeTable:
    """One outcome for each request.

    label: float64 [n]; value: float64 [n], NaN where none is known; observed_ns: int64 [n].
    """

    request_ids: Sequence[str]
    label: NDArray[np.float64]
    value: NDArray[np.float64]
    observed_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.request_ids)


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows in the log."""

    served: int
    scores: int
    outcomes: int


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
        new: the first one stays. Raises UnavailableError when nothing was written: no room, or locked.
        """
        assert self._run is not None, "open_run comes first"
        with self._transaction():
            for batch in served:
                if len(batch):
                    self._write_served(batch, self._run)
            for scored in scores:
                if len(scored):
                    self._write_scores(scored)
            self._runs.count_written(self._run, sum(map(len, served)))
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
        self._insert("served", {**keys, **pack_served(batch)})

    def _write_scores(self, batch: ScoreBatch) -> None:
        keys: dict[str, Cell] = {
            "candidate": self._number_of(batch.model),
            "champion": self._number_of(batch.champion),
        }
        self._insert("scores", {**keys, **pack_scores(batch)})

    def _insert(self, table: str, cells: dict[str, Cell]) -> None:
        values = ", ".join(f":{column}" for column in cells)
        self._connection.execute(
            f"INSERT INTO {table} ({', '.join(cells)}) VALUES ({values})",  # noqa: S608 - our own names
            cells,
        )

    def _write_outcomes(self, outcomes: Sequence[Outcome]) -> OutcomeReceipt:
        stored = 0
        conflicts = []
        for outcome in outcomes:
            key = (outcome.request_id, outcome.observed_ns)
            added = self._connection.execute(
                "INSERT INTO outcomes (request_id, observed_ns, label, value) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (request_id, observed_ns) DO NOTHING",
                (*key, outcome.label, outcome.value),
            )
            if added.rowcount:
                stored += 1
                continue
            known = self._connection.execute(
                "SELECT label, value FROM outcomes WHERE request_id = ? AND observed_ns = ?", key
            ).fetchone()
            if known != (outcome.label, outcome.value):
                conflicts.append(outcome.request_id)
        return OutcomeReceipt(stored, len(outcomes) - stored - len(conflicts), tuple(conflicts))

    def _number_of(self, model: ModelId) -> int:
        key = (model.name, model.version, model.digest)
        self._connection.execute(
            "INSERT INTO models (name, version, digest) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", key
        )
        (number,) = self._connection.execute(
            "SELECT model FROM models WHERE name = ? AND version = ? AND digest = ?", key
        ).fetchone()
        return int(number)

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
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        if not read_format(connection, path):
            connection.execute("PRAGMA journal_mode = WAL")
            create_tables(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


class LogReader:
    """Reads the log at `path` while the sidecar writes it, and when none does.

    Batches are read one by one, so a slow reader holds no transaction open. Raises NotFoundError when there
    is no log, ConfigError when the file is not a log that this version reads. Every method raises
    UnavailableError when the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise NotFoundError(f"no log at {path}; start the sidecar once, or name another home")
        self._path = path
        with self._readable():
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS, isolation_level=None
            )
        self._connection.row_factory = sqlite3.Row
        self._runs = RunTable(self._connection, path)
        try:
            found = read_format(self._connection, path)
        except BaseException:
            self.close()
            raise
        if not found:
            self.close()
            raise NotFoundError(f"no log at {path} yet: the file is empty; start the sidecar")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def served(
        self, *, since_ns: int | None = None, until_ns: int | None = None, champion: str | None = None
    ) -> Iterator[ServedBatch]:
        """Rows with since_ns <= event_ns < until_ns that the model of digest `champion` answered.

        In the order of writing, each as often as it was served; None stands for no limit.
        """
        first_ns = _INT64.min if since_ns is None else since_ns
        last_ns = _INT64.max if until_ns is None else until_ns - 1
        numbers = self._query(
            """
            SELECT sequence FROM served JOIN models USING (model)
            WHERE last_event_ns >= :first AND first_event_ns <= :last AND digest = ifnull(:champion, digest)
            ORDER BY sequence
            """,
            {"first": int(first_ns), "last": int(last_ns), "champion": champion},
        )
        for (number,) in list(numbers):
            (row,) = self._query(
                "SELECT * FROM served JOIN models USING (model) WHERE sequence = ?", (number,)
            )
            batch = unpack_served(dict(row), ModelId(row["name"], row["version"], row["digest"]))
            inside = (batch.event_ns >= first_ns) & (batch.event_ns <= last_ns)
            if inside.all():
                yield batch
            elif inside.any():
                yield _select(batch, inside)

    def scores(self, candidate: str, champion: str) -> Iterator[ScoreBatch]:
        """What the model of digest `candidate` made of rows that `champion` answered, in order of writing."""
        numbers = self._query(
            """
            SELECT sequence FROM scores
            WHERE candidate IN (SELECT model FROM models WHERE digest = ?)
              AND champion IN (SELECT model FROM models WHERE digest = ?)
            ORDER BY sequence
            """,
            (candidate, champion),
        )
        models = self._models()
        for (number,) in list(numbers):
            (row,) = self._query("SELECT * FROM scores WHERE sequence = ?", (number,))
            yield unpack_scores(dict(row), models[row["candidate"]], models[row["champion"]])

    def outcomes(self, as_of_ns: int | None = None) -> OutcomeTable:
        """For each request the outcome that was observed last, of those observed up to `as_of_ns`."""
        # SQLite takes the other columns from the row that has the maximum.
        query = self._query(
            """
            SELECT request_id, label, value, MAX(observed_ns) FROM outcomes
            WHERE observed_ns <= ? GROUP BY request_id
            """,
            (int(_INT64.max) if as_of_ns is None else int(as_of_ns),),
        )
        rows = list(query)
        return OutcomeTable(
            request_ids=[row[0] for row in rows],
            label=np.array([row[1] for row in rows], np.float64),
            value=np.array([row[2] for row in rows], np.float64),
            observed_ns=np.array([row[3] for row in rows], np.int64),
        )

    def watermark_ns(self) -> int | None:
        """The greatest event_ns served; None when nothing was."""
        ((watermark,),) = self._query("SELECT MAX(last_event_ns) FROM served")
        return None if watermark is None else int(watermark)

    def runs(self) -> list[Run]:
        """Every run of the sidecar, oldest first."""
        with self._readable():
            return self._runs.all()

    def counts(self) -> Counts:
        """Rows in the log, repeated ones included."""
        (row,) = self._query(
            """
            SELECT (SELECT ifnull(SUM(rows), 0) FROM served),
                   (SELECT ifnull(SUM(rows), 0) FROM scores),
                   (SELECT COUNT(*) FROM outcomes)
            """
        )
        return Counts(*row)

    def _models(self) -> dict[int, ModelId]:
        rows = self._query("SELECT model, name, version, digest FROM models")
        return {number: ModelId(*model) for number, *model in rows}

    def _query(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Iterator[sqlite3.Row]:
        with self._readable():
            yield from self._connection.execute(sql, values)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise UnavailableError(f"log {self._path} cannot be read: {error}") from error


def _select(batch: ServedBatch, rows: NDArray[np.bool_]) -> ServedBatch:
    return ServedBatch(
        model=batch.model,
        request_ids=[batch.request_ids[row] for row in np.flatnonzero(rows).tolist()],
        client=batch.client[rows],
        received_ns=batch.received_ns[rows],
        event_ns=batch.event_ns[rows],
        group=batch.group[rows],
        blocks=batch.blocks.take(rows),
        features=batch.features[rows],
        score=batch.score[rows],
        decision=batch.decision[rows],
        queue_ns=batch.queue_ns[rows],
        infer_ns=batch.infer_ns[rows],
        cpu_ns=batch.cpu_ns[rows],
    )
