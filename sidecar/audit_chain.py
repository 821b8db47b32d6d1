"""The audit chain: every transition and every decision as they were written, each tied to all before.

A link is the SHA-256 of the link before it and of the row's own digest. So a row that is changed, added or
taken away later breaks the chain from there on, whoever edits the file. Only the end can be cut off unseen:
keep the head somewhere else, and ask for it when verifying.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.canonical_json import json_digest

if TYPE_CHECKING:
    import sqlite3

CHAINED = ("transitions", "decisions")
"""The tables whose rows are chained, by their `sequence`."""
GENESIS = "0" * 64
"""What the first link is tied to."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A link of the chain. kind: the table; row: its sequence there; digest: of the row's canonical JSON."""

    number: int
    kind: str
    row: int
    digest: str
    link: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What verifying the chain found. head: the newest link. faults: a sentence each; none means intact."""

    entries: int
    head: str
    faults: tuple[str, ...]


def append_link(db: sqlite3.Connection, kind: str, row: int) -> None:
    """Tie a row that was just written to the chain, in the same transaction."""
    newest = db.execute("SELECT number, link FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    number, before = (1, GENESIS) if newest is None else (newest["number"] + 1, newest["link"])
    digest = _row_digest(db, kind, row)
    db.execute(
        "INSERT INTO audit (number, kind, row, digest, link) VALUES (?, ?, ?, ?, ?)",
        (number, kind, row, digest, _link(before, number, kind, row, digest)),
    )


def read_entries(db: sqlite3.Connection) -> list[Entry]:
    """The whole chain, oldest first."""
    return [Entry(**dict(row)) for row in db.execute("SELECT * FROM audit ORDER BY number")]


def verify_chain(db: sqlite3.Connection) -> Audit:
    """Work out the chain again from the rows, and compare."""
    entries = read_entries(db)
    faults = []
    for before, entry in itertools.pairwise([None, *entries]):
        assert entry is not None
        name = f"entry {entry.number} ({entry.kind} {entry.row})"
        found = _row_digest(db, entry.kind, entry.row) if entry.kind in CHAINED else ""
        if not found:
            faults.append(f"{name}: the row is gone")
        elif found != entry.digest:
            faults.append(f"{name}: the row was changed after it was written")
        previous = GENESIS if before is None else before.link
        expected = 1 if before is None else before.number + 1
        link = _link(previous, expected, entry.kind, entry.row, entry.digest)
        if link != entry.link or entry.number != expected:
            faults.append(f"{name}: it is not tied to the entry before it")
    chained = {(entry.kind, entry.row) for entry in entries}
    faults += [
        f"{kind} {row}: the row is not in the chain"
        for kind in CHAINED
        for (row,) in db.execute(f"SELECT sequence FROM {kind} ORDER BY sequence")  # noqa: S608 - our own names
        if (kind, row) not in chained
    ]
    faults += _states(db)
    return Audit(len(entries), entries[-1].link if entries else GENESIS, tuple(faults))


def _states(db: sqlite3.Connection) -> list[str]:
    """Versions that do not stand where their newest transition took them."""
    rows = db.execute(
        "SELECT versions.digest, state, (SELECT to_state FROM transitions WHERE digest = versions.digest"
        " ORDER BY sequence DESC LIMIT 1) AS last FROM versions"
    )
    return [
        f"version {row['digest'][:12]} is {row['state']}, but its newest transition led to {row['last']}"
        for row in rows
        if row["state"] != row["last"]
    ]


def _row_digest(db: sqlite3.Connection, kind: str, row: int) -> str:
    found = db.execute(f"SELECT * FROM {kind} WHERE sequence = ?", (row,)).fetchone()  # noqa: S608 - our own names
    return "" if found is None else json_digest(dict(found))


def _link(before: str, number: int, kind: str, row: int, digest: str) -> str:
    return hashlib.sha256(f"{before} {number} {kind} {row} {digest}".encode()).hexdigest()
