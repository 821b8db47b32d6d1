"""The outcomes in SQLite as columns.

SQLite joins the values of many rows to one text, which numpy takes apart: a Python object for each value of
a million rows would take four times as long.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sidecar.codec import Columns

OUTCOME_COLUMNS = ("request_ids", "label", "value", "observed_ns", "recorded_ns")
_IDS = 1 << 18
"""Requests at a time: bounds the texts."""
_SEPARATOR = "\n"
"""No request id has one."""
_OTHER = "2"
"""Stands for a label that is neither 0 nor 1."""
_FROM = """
    FROM outcomes
    WHERE observed_ns BETWEEN ? AND ? AND recorded_ns <= ? AND request_id >= ? AND request_id < ?
"""
_NO_ROWS: Columns = {
    "request_ids": np.empty(0, np.bytes_),
    "label": np.empty(0, np.float64),
    "value": np.empty(0, np.float64),
    "observed_ns": np.empty(0, np.int64),
    "recorded_ns": np.empty(0, np.int64),
}


def hot_outcomes(
    connection: sqlite3.Connection, first_ns: int, last_ns: int, recorded_until_ns: int
) -> Columns:
    """OUTCOME_COLUMNS of all outcomes observed in that time and recorded by then; a request may have several.

    Call it within a transaction: it asks several times.
    """
    parts = [_NO_ROWS]
    for first_id, end_id in itertools.pairwise(_steps(connection)):
        parts += _part(connection, (first_ns, last_ns, recorded_until_ns, first_id, end_id))
    return {name: np.concatenate([part[name] for part in parts]) for name in OUTCOME_COLUMNS}


def _steps(connection: sqlite3.Connection) -> Iterator[str | bytes]:
    """Ids, so that between two there are few enough."""
    first: str | None = ""
    while first is not None:
        yield first
        found = connection.execute(
            "SELECT request_id FROM outcomes WHERE request_id >= ? ORDER BY request_id LIMIT 1 OFFSET ?",
            (first, _IDS),
        ).fetchone()
        first = found[0] if found else None
    yield b""  # to SQLite greater than any text


def _part(connection: sqlite3.Connection, where: tuple[Any, ...]) -> list[Columns]:
    ids, observed, recorded, labels, values = connection.execute(
        f"""
        SELECT group_concat(request_id, ?), group_concat(observed_ns), group_concat(recorded_ns),
               group_concat(CASE label WHEN 0 THEN 0 WHEN 1 THEN 1 ELSE {_OTHER} END, ''), count(value)
        {_FROM}
        """,
        (_SEPARATOR, *where),
    ).fetchone()
    if ids is None:
        return []
    rows = len(labels)
    return [
        {
            "request_ids": np.array(ids.encode().split(_SEPARATOR.encode())),
            "label": _numbers(connection, "label", where) if _OTHER in labels else _flags(labels),
            "value": _numbers(connection, "value", where) if values else np.full(rows, np.nan),
            "observed_ns": np.fromstring(observed, np.int64, sep=","),
            "recorded_ns": np.fromstring(recorded, np.int64, sep=","),
        }
    ]


def _flags(digits: str) -> NDArray[np.float64]:
    return (np.frombuffer(digits.encode(), np.uint8) - ord("0")).astype(np.float64)


def _numbers(connection: sqlite3.Connection, column: str, where: tuple[Any, ...]) -> NDArray[np.float64]:
    """One by one, as text would not keep every bit."""
    rows = connection.execute(f"SELECT {column} {_FROM}", where)
    return np.array([value for (value,) in rows], np.float64)
