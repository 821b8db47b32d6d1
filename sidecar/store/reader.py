"""The one way to read the log: what is still in SQLite and what is sealed in Parquet files, as one."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from sidecar.codec import SCORE_COLUMNS, SERVED_COLUMNS, WRITTEN, score_batch, served_batch, unpack_column
from sidecar.domain import ModelId
from sidecar.errors import NotFoundError, UnavailableError
from sidecar.store.hot_outcomes import OUTCOME_COLUMNS, hot_outcomes
from sidecar.store.log import BUSY_SECONDS
from sidecar.store.part import EVERYTHING, PackedColumns, Part, joined_columns
from sidecar.store.request_index import RequestIndex
from sidecar.store.runs import Run, RunTable
from sidecar.store.schema import read_format
from sidecar.store.sealed import KIND_OUTCOMES, KIND_SCORES, KIND_SERVED, SealedFile, sealed_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from sidecar.codec import Columns
    from sidecar.domain import ScoreBatch, ServedBatch
    from sidecar.store.part import Within

_INT64 = np.iinfo(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeTable:
    """One outcome for each request.

    request_ids: bytes (S, ASCII) [n]; label: float64 [n]; value: float64 [n], NaN where none is known;
    observed_ns, recorded_ns: int64 [n], when it was seen, and when it was written to the log.
    """

    request_ids: NDArray[np.bytes_]
    label: NDArray[np.float64]
    value: NDArray[np.float64]
    observed_ns: NDArray[np.int64]
    recorded_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.request_ids)


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows in the log."""

    served: int
    scores: int
    outcomes: int


class LogReader:
    """Reads the log at `path` while the sidecar writes it, and when none does.

    Each question is answered from one state of the log: a row that is sealed meanwhile is neither missed nor
    given twice. Only the columns that are asked for are read, and only batches and files that can have rows
    of the time asked for. With a `logged_until_ns` it reads the log as it was when that was its `logged_ns`:
    what was written later does not exist, and what retention dropped since is gone. Raises NotFoundError when
    there is no log, ConfigError when the file is not a log that this version reads. Every method raises
    UnavailableError when the log cannot be read, and ConfigError when it has sealed rows and pyarrow is not
    installed.
    """

    def __init__(self, path: Path, logged_until_ns: int | None = None) -> None:
        if not path.exists():
            raise NotFoundError(f"no log at {path}; start the sidecar once, or name another home")
        self._path = path
        self._until_ns = int(_INT64.max) if logged_until_ns is None else logged_until_ns
        with self._readable():
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS, isolation_level=None
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

    def another(self) -> LogReader:
        """A second reader of the same, for another thread; the caller closes it."""
        return LogReader(self._path, self._until_ns)

    def as_logged(self, logged_ns: int | None = None) -> LogReader:
        """Another reader, of the log as it was at this moment of its own, now if not given, and stays.

        The caller closes it.
        """
        return LogReader(self._path, self.logged_ns if logged_ns is None else logged_ns)

    @property
    def logged_ns(self) -> int:
        """When the newest of what it reads was written; 0 for an empty log. See `LogStore.write`."""
        with self._readable():
            return min(self._runs.logged_ns(), self._until_ns)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def served(
        self, *, since_ns: int | None = None, until_ns: int | None = None, champion: str | None = None
    ) -> Iterator[ServedBatch]:
        """Rows with since_ns <= event_ns < until_ns that the model of digest `champion` answered.

        Each as often as it was served; None stands for no limit.
        """
        parts = self.served_parts(SERVED_COLUMNS, since_ns=since_ns, until_ns=until_ns, champion=champion)
        return (served_batch(part.columns, part.model) for part in parts)

    def served_parts(
        self,
        columns: Iterable[str],
        *,
        since_ns: int | None = None,
        until_ns: int | None = None,
        champion: str | None = None,
    ) -> Iterator[Part]:
        """The same rows as `served`, but only these of SERVED_COLUMNS, and WRITTEN."""
        first_ns = int(_INT64.min) if since_ns is None else int(since_ns)
        last_ns = int(_INT64.max) if until_ns is None else int(until_ns) - 1
        asked = tuple(dict.fromkeys(columns))
        names = (*asked, "event_ns")
        with self._one_state():
            models = self.models()
            wanted = [number for number, model in models.items() if champion in (None, model.digest)]
            files = self._sealed(KIND_SERVED, wanted, "last_ns >= ? AND first_ns <= ?", (first_ns, last_ns))
            hot = self._hot(
                f"""
                SELECT model, rows, {_cells(SERVED_COLUMNS, names)} FROM served
                WHERE last_event_ns >= ? AND first_event_ns <= ? AND written_ns <= ?
                  AND model IN ({_marks(wanted)})
                ORDER BY sequence
                """,
                (first_ns, last_ns, self._until_ns, *wanted),
            )
        for model, _, found in _packed(files, hot, asked, {"event_ns": (first_ns, last_ns)}):
            yield Part(models[model], None, found)

    def scores(self, candidate: str, champion: str) -> Iterator[ScoreBatch]:
        """What the model of digest `candidate` made of rows that `champion` answered."""
        for part in self.score_parts(SCORE_COLUMNS, candidate, champion):
            assert part.champion is not None
            yield score_batch(part.columns, part.model, part.champion)

    def score_parts(
        self,
        columns: Iterable[str],
        candidate: str | None,
        champion: str | None,
        *,
        written_since_ns: int | None = None,
    ) -> Iterator[Part]:
        """The same rows as `scores`, but only these of SCORE_COLUMNS and WRITTEN, and those written since.

        None stands for any model.
        """
        since_ns = int(_INT64.min) if written_since_ns is None else int(written_since_ns)
        names = tuple(columns)
        with self._one_state():
            models = self.models()
            candidates, champions = (
                [number for number, model in models.items() if digest in (None, model.digest)]
                for digest in (candidate, champion)
            )
            files = self._sealed(KIND_SCORES, candidates, "last_written_ns >= ?", (since_ns,), champions)
            hot = self._hot(
                f"""
                SELECT candidate AS model, champion, rows, {_cells(SCORE_COLUMNS, names)} FROM scores
                WHERE candidate IN ({_marks(candidates)}) AND champion IN ({_marks(champions)})
                  AND written_ns BETWEEN ? AND ?
                ORDER BY sequence
                """,
                (*candidates, *champions, since_ns, self._until_ns),
            )
        for model, of, found in _packed(files, hot, names):
            yield Part(models[model], models[of], found)

    def outcomes(self, as_of_ns: int | None = None, since_ns: int | None = None) -> OutcomeTable:
        """For each request the outcome observed last, of those with since_ns <= observed_ns <= as_of_ns.

        Where it only says once more what was said just before, it is as it was when that was said first:
        whoever reports an outcome again does not make it a later one.
        """
        last_ns = int(_INT64.max) if as_of_ns is None else int(as_of_ns)
        first_ns = int(_INT64.min) if since_ns is None else int(since_ns)
        with self._one_state():
            files = self._sealed(KIND_OUTCOMES, None, "last_ns >= ? AND first_ns <= ?", (first_ns, last_ns))
            with self._readable():
                hot = hot_outcomes(self._connection, first_ns, last_ns, self._until_ns)
        within = {"observed_ns": (first_ns, last_ns)}
        found = joined_columns((part for file in files for part in file.read(OUTCOME_COLUMNS, within)), hot)
        return OutcomeTable(**_latest(found))

    def watermark_ns(self) -> int | None:
        """The greatest event_ns served; None when nothing was."""
        with self._one_state():
            ((hot, sealed),) = self._query(
                """
                SELECT (SELECT MAX(last_event_ns) FROM served WHERE written_ns <= ?1),
                       (SELECT MAX(last_ns) FROM sealed_files WHERE kind = 'served' AND last_written_ns <= ?1)
                """,
                (self._until_ns,),
            )
            cut = self._sealed(KIND_SERVED, None, "last_written_ns > ?", (self._until_ns,))
        known = [int(watermark) for watermark in (hot, sealed) if watermark is not None]
        known += [int(part["event_ns"].max()) for file in cut for part in file.read(("event_ns",))]
        return max(known, default=None)

    def dropped_until_ns(self) -> int | None:
        """Of rows written up to this moment some are gone, because they were too old or too many."""
        ((until_ns,),) = self._query("SELECT MAX(until_ns) FROM dropped")
        return None if until_ns is None else int(until_ns)

    def runs(self) -> list[Run]:
        """Every run of the sidecar, oldest first."""
        with self._readable():
            return self._runs.all()

    def counts(self) -> Counts:
        """Rows in the log, repeated ones included."""
        (row,) = self._query(
            """
            WITH sealed AS (SELECT kind, SUM(rows) AS rows FROM sealed_files GROUP BY kind)
            SELECT (SELECT ifnull(SUM(rows), 0) FROM served)
                     + ifnull((SELECT rows FROM sealed WHERE kind = 'served'), 0),
                   (SELECT ifnull(SUM(rows), 0) FROM scores)
                     + ifnull((SELECT rows FROM sealed WHERE kind = 'scores'), 0),
                   (SELECT COUNT(*) FROM outcomes)
                     + ifnull((SELECT rows FROM sealed WHERE kind = 'outcomes'), 0)
            """
        )
        return Counts(*row)

    def _sealed(
        self,
        kind: str,
        models: Sequence[int] | None,
        where: str,
        values: Sequence[Any],
        champions: Sequence[int] | None = None,
    ) -> list[SealedFile]:
        """The sealed files that can have rows asked for, oldest first."""
        clauses, given = ["kind = ?", "first_written_ns <= ?", where], [kind, self._until_ns, *values]
        for column, numbers in (("model", models), ("champion", champions)):
            if numbers is not None:
                clauses.append(f"{column} IN ({_marks(numbers)})")
                given += numbers
        rows = self._query(
            f"""
            SELECT path, model, champion, last_written_ns FROM sealed_files
            WHERE {" AND ".join(clauses)} ORDER BY file
            """,
            given,
        )
        root = sealed_folder(self._path)
        column = "recorded_ns" if kind == KIND_OUTCOMES else WRITTEN
        logged = {column: (int(_INT64.min), self._until_ns)}
        return [
            SealedFile(root / path, model or 0, champion or 0, logged if last_ns > self._until_ns else {})
            for path, model, champion, last_ns in rows
        ]

    def _hot(self, sql: str, values: Sequence[Any]) -> list[sqlite3.Row]:
        return list(self._query(sql, values))

    def models(self) -> dict[int, ModelId]:
        """The models that the log knows, by their number in it."""
        rows = self._query("SELECT model, name, version, digest FROM models")
        return {number: ModelId(*model) for number, *model in rows}

    @contextmanager
    def _one_state(self) -> Iterator[None]:
        """Within it, all queries see the same state of the log."""
        with self._readable():
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def _query(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Iterator[sqlite3.Row]:
        with self._readable():
            yield from self._connection.execute(sql, values)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise UnavailableError(f"log {self._path} cannot be read: {error}") from error


def _packed(
    files: Sequence[SealedFile],
    hot: Sequence[sqlite3.Row],
    names: Sequence[str],
    within: Within = EVERYTHING,
) -> Iterator[tuple[int, int, PackedColumns]]:
    """The numbers of model and champion (0 for none), and the columns; sealed rows, the older ones, first."""
    for file in files:
        for part in file.read(names, within):
            yield file.model, file.champion, part
    for cells in hot:
        champion = cells["champion"] if "champion" in cells.keys() else 0  # noqa: SIM118 - rows iterate by value
        part = PackedColumns(names, cells["rows"], partial(unpack_column, cells))
        if (kept := part.within(within)) is not None:
            yield cells["model"], champion, kept


def _cells(of: Mapping[str, tuple[str, ...]], names: Iterable[str]) -> str:
    known = {**of, WRITTEN: (WRITTEN,)}
    return ", ".join(dict.fromkeys(cell for name in names for cell in known[name]))


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _latest(outcomes: Columns) -> Columns:
    """Of each request only the outcome observed last; of those in a row that say the same, the first."""
    ids = outcomes["request_ids"]
    if (ids[1:] > ids[:-1]).all():  # as SQLite has them, most often
        return outcomes
    index = RequestIndex(ids)
    if index.different == len(ids):
        return outcomes
    of = index.numbers()
    order = np.lexsort((outcomes["observed_ns"], of))
    ends = np.append(of[order][1:] != of[order][:-1], True)
    begins = np.append(True, ends[:-1])
    for name in ("label", "value"):
        said = outcomes[name][order].view(np.int64)  # so that a value that lacks equals itself
        begins[1:] |= said[1:] != said[:-1]
    first = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
    rows = np.sort(order[first[ends]])
    return {name: values[rows] for name, values in outcomes.items()}
