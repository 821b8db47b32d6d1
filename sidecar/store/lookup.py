"""Looking into the log as a person does: the newest rows, and all about one request."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.codec import unpack_scores, unpack_served
from sidecar.domain import ModelId, Outcome
from sidecar.store.log import LogReader

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from sidecar.domain import ScoreBatch, ServedBatch

_SERVED = "SELECT * FROM served JOIN models USING (model)"


@dataclass(frozen=True, slots=True, eq=False)
class ServedRow:
    """One row of a batch in the log. sequence: the batch's place in the order of writing."""

    sequence: int
    batch: ServedBatch
    row: int


@dataclass(frozen=True, slots=True, eq=False)
class ScoreRow:
    """One row of a batch of a candidate's scores."""

    batch: ScoreBatch
    row: int


class LogLookup(LogReader):
    """A LogReader that also finds single rows."""

    def newest(self, rows: int) -> list[ServedRow]:
        """The `rows` rows written last, oldest first."""
        found: list[ServedRow] = []
        for cells in self._query(f"{_SERVED} ORDER BY sequence DESC"):
            if len(found) >= rows:
                break
            found = [*_rows(cells), *found]
        return found[-rows:] if rows else []

    def last_sequence(self) -> int:
        """The sequence of the batch written last; 0 when there is none."""
        ((last,),) = self._query("SELECT ifnull(MAX(sequence), 0) FROM served")
        return int(last)

    def after(self, sequence: int) -> list[ServedRow]:
        """The rows of the batches written after the batch `sequence`, oldest first."""
        batches = self._query(f"{_SERVED} WHERE sequence > ? ORDER BY sequence", (sequence,))
        return [row for cells in batches for row in _rows(cells)]

    def served_as(self, request_id: str) -> ServedRow | None:
        """The row served under this key; the first one if the key was sent twice."""
        batches = self._query(
            f"{_SERVED} WHERE instr(request_ids, ?) ORDER BY sequence", (json.dumps(request_id),)
        )
        found = (row for cells in batches for row in _rows(cells))
        return next((row for row in found if row.batch.request_ids[row.row] == request_id), None)

    def scored_as(self, request_id: str) -> list[ScoreRow]:
        """What the candidates made of the row served under this key, in order of writing."""
        models = self._models()
        batches = self._query(
            "SELECT * FROM scores WHERE instr(request_ids, ?) ORDER BY sequence", (json.dumps(request_id),)
        )
        unpacked = (
            unpack_scores(dict(cells), models[cells["candidate"]], models[cells["champion"]])
            for cells in batches
        )
        return [
            ScoreRow(batch, row)
            for batch in unpacked
            for row, key in enumerate(batch.request_ids)
            if key == request_id
        ]

    def outcomes_of(self, request_id: str) -> list[Outcome]:
        """The outcomes reported under this key, in the order observed; the last one counts."""
        rows = self._query(
            "SELECT request_id, label, value, observed_ns FROM outcomes WHERE request_id = ?"
            " ORDER BY observed_ns",
            (request_id,),
        )
        return [Outcome(*row) for row in rows]


def _rows(cells: sqlite3.Row) -> Iterator[ServedRow]:
    batch = unpack_served(dict(cells), ModelId(cells["name"], cells["version"], cells["digest"]))
    return (ServedRow(cells["sequence"], batch, row) for row in range(len(batch)))
