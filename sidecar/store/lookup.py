"""Looking into the log as a person does: the newest rows, and all about one request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.codec import (
    SCORE_COLUMNS,
    SERVED_COLUMNS,
    score_batch,
    served_batch,
    unpack_scores,
    unpack_served,
)
from sidecar.domain import ModelId, Outcome
from sidecar.store.reader import LogReader
from sidecar.store.sealed import KIND_SCORES, KIND_SERVED

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sidecar.domain import ScoreBatch, ServedBatch
    from sidecar.store.sealed import SealedFile

_SERVED = "SELECT * FROM served JOIN models USING (model)"
_HAS_ID = """
    id_prefix = substr(?1, 1, length(id_prefix))
    AND instr(request_ids, json_quote(substr(?1, length(id_prefix) + 1)))
"""


@dataclass(frozen=True, slots=True, eq=False)
class ServedRow:
    """One row of a batch. sequence: the batch's place in the order of writing, 0 once it is sealed."""

    sequence: int
    batch: ServedBatch
    row: int


@dataclass(frozen=True, slots=True, eq=False)
class ScoreRow:
    """One row of a batch of a candidate's scores."""

    batch: ScoreBatch
    row: int


class LogLookup(LogReader):
    """A LogReader that also finds single rows; those of sealed files by looking through their request ids."""

    def newest(self, rows: int) -> list[ServedRow]:
        """The `rows` rows written last, oldest first."""
        with self._one_state():
            models = self.models()
            found: list[ServedRow] = []
            for cells in self._query(f"{_SERVED} ORDER BY sequence DESC"):
                if len(found) >= rows:
                    break
                found = [*_rows(cells), *found]
            files = self._sealed(KIND_SERVED, None, "rows > ?", (0,))
        while files and len(found) < rows:
            file = files.pop()
            batches = [served_batch(part, models[file.model]) for part in file.read(SERVED_COLUMNS)]
            found = [*(ServedRow(0, batch, row) for batch in batches for row in range(len(batch))), *found]
        return found[-rows:] if rows else []

    def last_sequence(self) -> int:
        """The sequence of the batch written last; 0 when there is none."""
        ((last,),) = self._query("SELECT ifnull(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'served'")
        return int(last)

    def after(self, sequence: int) -> list[ServedRow]:
        """The rows of the batches written after the batch `sequence` and not sealed yet, oldest first."""
        batches = self._query(f"{_SERVED} WHERE sequence > ? ORDER BY sequence", (sequence,))
        return [row for cells in batches for row in _rows(cells)]

    def served_as(self, request_id: str) -> ServedRow | None:
        """The row served under this key; the first one if the key was sent twice."""
        with self._one_state():
            models = self.models()
            files = self._sealed(KIND_SERVED, None, "rows > ?", (0,))
            hot = list(self._query(f"{_SERVED} WHERE {_HAS_ID} ORDER BY sequence", (request_id,)))
        for file, columns in _rows_of(files, request_id, SERVED_COLUMNS):
            return ServedRow(0, served_batch(columns, models[file.model]), 0)
        found = (row for cells in hot for row in _rows(cells))
        return next((row for row in found if row.batch.request_ids[row.row] == request_id.encode()), None)

    def scored_as(self, request_id: str) -> list[ScoreRow]:
        """What the candidates made of the row served under this key, in order of writing."""
        with self._one_state():
            models = self.models()
            files = self._sealed(KIND_SCORES, None, "rows > ?", (0,))
            hot = list(self._query(f"SELECT * FROM scores WHERE {_HAS_ID} ORDER BY sequence", (request_id,)))
        batches = [
            score_batch(columns, models[file.model], models[file.champion])
            for file, columns in _rows_of(files, request_id, SCORE_COLUMNS)
        ]
        batches += [
            unpack_scores(cells, models[cells["candidate"]], models[cells["champion"]]) for cells in hot
        ]
        return [
            ScoreRow(batch, row)
            for batch in batches
            for row in np.flatnonzero(batch.request_ids == request_id.encode()).tolist()
        ]

    def outcomes_of(self, request_id: str) -> list[Outcome]:
        """The outcomes reported under this key, in the order observed; the last one counts."""
        rows = self._query(
            """
            SELECT request_id, label, value, observed_ns FROM outcomes WHERE request_id = ?1
            UNION ALL
            SELECT request_id, label, value, observed_ns FROM sealed_outcomes WHERE request_id = ?1
            ORDER BY observed_ns
            """,
            (request_id,),
        )
        return [Outcome(*row) for row in rows]


def _rows(cells: sqlite3.Row) -> Iterator[ServedRow]:
    batch = unpack_served(cells, ModelId(cells["name"], cells["version"], cells["digest"]))
    return (ServedRow(cells["sequence"], batch, row) for row in range(len(batch)))


def _rows_of(
    files: Sequence[SealedFile], request_id: str, names: Iterable[str]
) -> Iterator[tuple[SealedFile, Mapping[str, Any]]]:
    """The rows under this key in each file that has some; its row groups one by one."""
    for file in files:
        here = [part["request_ids"] == request_id.encode() for part in file.read(("request_ids",))]
        if any(rows.any() for rows in here):
            found = zip(file.read(names), here, strict=True)
            yield from ((file, part.only(rows)) for part, rows in found if rows.any())
