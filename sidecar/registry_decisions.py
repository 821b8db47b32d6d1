"""Decisions of the gate, as the registry keeps them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from sidecar.audit_chain import append_link

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision of the gate, kept with all that it rests on. Models are named by digest.

    e_value, wanted: of the candidate, and what would have promoted it. budget, budget_left: its part of the
    error budget, and what is left for candidates after it. logged_ns: it rests on what had been logged by
    then, see `LogReader.logged_ns`. sequence: the registry's running number, 0 before it is kept.
    """

    candidate: str
    champion: str
    action: str
    reasons: list[str]
    e_value: float
    wanted: float
    budget: float
    budget_left: float
    evidence_digest: str
    policy_digest: str
    evidence_json: str
    policy_json: str
    decided_ns: int
    logged_ns: int
    actor: str
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Judged:
    """Whom a decision was on, and against whom (digests), without what it rests on.

    sequence: that of the decision.
    """

    candidate: str
    champion: str
    sequence: int


_COLUMNS = ", ".join(field.name for field in fields(StoredDecision))


def add_decision(db: sqlite3.Connection, decision: StoredDecision) -> int:
    """Keep a decision for ever; returns its sequence."""
    values = {**asdict(decision), "reasons": json.dumps(decision.reasons)}
    del values["sequence"]
    columns = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    added = db.execute(f"INSERT INTO decisions ({columns}) VALUES ({places})", values)  # noqa: S608 - our own names
    sequence = int(added.lastrowid or 0)
    append_link(db, "decisions", sequence)
    return sequence


def read_decisions(db: sqlite3.Connection) -> list[StoredDecision]:
    """All decisions, oldest first."""
    return [_stored(row) for row in db.execute(f"SELECT {_COLUMNS} FROM decisions ORDER BY sequence")]  # noqa: S608 - our own names


def read_judged(db: sqlite3.Connection) -> list[Judged]:
    """Whom all decisions were on, oldest first. What they rest on, most of the file, is not read."""
    rows = db.execute("SELECT candidate, champion, sequence FROM decisions ORDER BY sequence")
    return [Judged(**dict(row)) for row in rows]


def newest_decision(
    db: sqlite3.Connection, *, candidate: str, champion: str, actions: Sequence[str], since_ns: int
) -> StoredDecision | None:
    """The newest decision on these two, of one of these actions, since then; see `Registry.newest_decision`.

    Of the others only what is asked for is looked at, and not what they rest on.
    """
    marks = ", ".join("?" * len(actions))
    row = db.execute(
        f"""
        SELECT {_COLUMNS} FROM decisions WHERE sequence = (
            SELECT MAX(sequence) FROM decisions
            WHERE ? IN ('', candidate) AND ? IN ('', champion) AND decided_ns >= ?
              {f"AND action IN ({marks})" if actions else ""}
        )
        """,  # noqa: S608 - our own names
        (candidate, champion, since_ns, *actions),
    ).fetchone()
    return None if row is None else _stored(row)


def _stored(row: sqlite3.Row) -> StoredDecision:
    return StoredDecision(**{**dict(row), "reasons": json.loads(row["reasons"])})
