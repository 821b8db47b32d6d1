"""What sidecars made of deployments, as the registry keeps it."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True, slots=True)
class Activation:
    """What a sidecar said about a generation: it is live (`error` is empty), or why it is not."""

    generation: int
    sidecar: str
    error: str
    at_ns: int


def add_activation(db: sqlite3.Connection, activation: Activation) -> None:
    """Keep it in place of what the same sidecar said of the same generation before."""
    db.execute("INSERT OR REPLACE INTO activations VALUES (?, ?, ?, ?)", astuple(activation))


def newest_activation(db: sqlite3.Connection, generation: int) -> Activation | None:
    """The last about this generation, or about a later one that contains it."""
    row = db.execute(
        # By rowid, which grows with every replacement; the clock may be set back.
        "SELECT * FROM activations WHERE generation >= ? ORDER BY rowid DESC LIMIT 1",
        (generation,),
    ).fetchone()
    return None if row is None else Activation(**dict(row))
