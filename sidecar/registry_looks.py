"""Looks: which moments of the log somebody judged who could act on it."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True, slots=True)
class Look:
    """One look. as_of_ns: what had happened by then, on the clock of the events, counted.

    logged_ns: it saw what had been logged by then, see `LogReader.logged_ns`.
    """

    as_of_ns: int
    logged_ns: int


def add_look(db: sqlite3.Connection, look: Look) -> None:
    """Keep it for ever; the same look twice is one."""
    db.execute("INSERT OR IGNORE INTO looks (as_of_ns, logged_ns) VALUES (?, ?)", astuple(look))


def read_looks(db: sqlite3.Connection) -> list[Look]:
    """All looks, in the order of what had been logged."""
    rows = db.execute("SELECT as_of_ns, logged_ns FROM looks ORDER BY logged_ns, as_of_ns")
    return [Look(**dict(row)) for row in rows]
