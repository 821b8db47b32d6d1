"""The books of each run of the sidecar: how many answered rows reached the log, and how many were lost."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sidecar.ledger import Ledger

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_COLUMNS = "run, started_ns, closed_ns, offered, dropped, failed, sampled_out, written"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Run:
    """One life of the serving process. Counters are rows; see `Ledger`.

    closed_ns is None while the run goes on, and stays None when its process died and left no ledger to close
    the books with. written: rows in the log.
    """

    number: int
    started_ns: int
    closed_ns: int | None
    offered: int
    dropped: int
    failed: int
    sampled_out: int
    written: int

    @property
    def lost(self) -> int:
        """Answered rows that are nowhere. Of a run that goes on: rows on their way to the log."""
        return max(0, self._unaccounted)

    @property
    def books_are_sound(self) -> bool:
        """Whether the counters fit the log; not so when the ledger is gone or older than the log."""
        return self._unaccounted >= 0

    @property
    def _unaccounted(self) -> int:
        return self.offered - self.dropped - self.failed - self.sampled_out - self.written


class RunTable:
    """The `runs` table of a log at `log`. Writes happen inside the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection, log: Path) -> None:
        self._connection = connection
        self._folder = log.absolute().parent

    def next_number(self) -> int:
        """The number that the next run will have."""
        (number,) = self._connection.execute("SELECT ifnull(MAX(run), 0) + 1 FROM runs").fetchone()
        return int(number)

    def add(self, ledger: Ledger, started_ns: int) -> Run:
        """A new run, counted by `ledger`."""
        cursor = self._connection.execute(
            "INSERT INTO runs (started_ns, ledger) VALUES (?, ?)",
            # Relative, so that a home that is moved after a crash still finds its ledger.
            (started_ns, os.path.relpath(ledger.path.absolute(), self._folder)),
        )
        assert cursor.lastrowid is not None
        return Run(cursor.lastrowid, started_ns, None, 0, 0, 0, 0, 0)

    def count_written(self, run: Run, rows: int, logged_ns: int) -> None:
        """Count rows that the transaction adds to the log at this moment, with whatever else it adds."""
        self._connection.execute(
            "UPDATE runs SET written = written + ?, logged_ns = ? WHERE run = ?",
            (rows, logged_ns, run.number),
        )

    def logged_ns(self) -> int:
        """When the newest rows, scores or outcomes were written; 0 where none ever was."""
        (logged_ns,) = self._connection.execute("SELECT ifnull(MAX(logged_ns), 0) FROM runs").fetchone()
        return int(logged_ns)

    def close_all(self, closed_ns: int) -> list[Path]:
        """Close the books of every open run from its ledger; give the ledgers that are no longer needed.

        A run whose ledger is absent, or older than the log (after a power cut), stays open: its loss is
        not known.
        """
        spent = []
        for run, path in self._open_runs():
            if not path.exists() or not run.books_are_sound:
                _logger.warning("run %d left no valid ledger; its lost rows are not known", run.number)
                continue
            self._connection.execute(
                "UPDATE runs SET closed_ns = ?, offered = ?, dropped = ?, failed = ?, sampled_out = ? "
                "WHERE run = ?",
                (closed_ns, run.offered, run.dropped, run.failed, run.sampled_out, run.number),
            )
            spent.append(path)
        return spent

    def all(self) -> list[Run]:
        """Every run, oldest first. Runs that are open show what their ledgers say now."""
        open_runs = {run.number: run for run, _ in self._open_runs()}
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM runs ORDER BY run").fetchall()
        return [open_runs.get(row[0], Run(*row)) for row in rows]

    def _open_runs(self) -> list[tuple[Run, Path]]:
        rows = self._connection.execute(
            f"SELECT {_COLUMNS}, ledger FROM runs WHERE closed_ns IS NULL ORDER BY run"
        ).fetchall()
        return [(_counted(Run(*row), self._folder / ledger), self._folder / ledger) for *row, ledger in rows]


def _counted(run: Run, path: Path) -> Run:
    counters = Ledger.read(path)
    if counters is None:
        return run
    return replace(run, **counters)
