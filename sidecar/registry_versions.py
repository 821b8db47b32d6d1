"""Reads versions and what is deployed from an open registry, within the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidecar.domain import BundleRef, Canary, Deployment, ModelId
from sidecar.errors import NotFoundError
from sidecar.lifecycle import ModelState, Reason, Transition, Version

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


class Versions:
    """The versions in `db`; the paths of their bundles are relative to `root`."""

    def __init__(self, db: sqlite3.Connection, root: Path) -> None:
        self._db = db
        self._root = root

    def find(self, digest: str) -> Version:
        """The version with this digest. Raises NotFoundError when there is none."""
        row = self._db.execute("SELECT * FROM versions WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            raise NotFoundError(f"no version has the digest {digest!r}")
        return self._of_row(row)

    def beginning(self, prefix: str) -> list[Version]:
        """Those whose digest begins so; two of them where there are more."""
        rows = self._db.execute(
            "SELECT * FROM versions WHERE substr(digest, 1, length(?1)) = ?1 LIMIT 2", (prefix,)
        )
        return [self._of_row(row) for row in rows]

    def newest_first(self) -> list[Version]:
        """All of them."""
        rows = self._db.execute("SELECT * FROM versions ORDER BY rowid DESC").fetchall()
        return [self._of_row(row) for row in rows]

    def only(self, state: ModelState) -> Version | None:
        """The version in a state that one version at a time can have."""
        row = self._db.execute("SELECT * FROM versions WHERE state = ?", (state,)).fetchone()
        return None if row is None else self._of_row(row)

    def newest_retired(self) -> Version | None:
        """The version that retired last, of those that are retired; None without any."""
        row = self._db.execute(
            "SELECT versions.* FROM transitions JOIN versions USING (digest)"
            " WHERE to_state = ? AND state = ? ORDER BY sequence DESC LIMIT 1",
            (ModelState.RETIRED, ModelState.RETIRED),
        ).fetchone()
        return None if row is None else self._of_row(row)

    def deployment(self) -> Deployment:
        """What should serve."""
        champion, standby = self.only(ModelState.CHAMPION), self.only(ModelState.STANDBY)
        shadows = self._db.execute(
            "SELECT versions.*, max(sequence) AS since FROM versions JOIN transitions USING (digest)"
            " WHERE state = ? GROUP BY digest ORDER BY since",
            (ModelState.SHADOW,),
        ).fetchall()
        return Deployment(
            generation=self.generation(),
            champion=None if champion is None else BundleRef(champion.model, champion.path),
            candidates=tuple(
                BundleRef(version.model, version.path) for version in map(self._of_row, shadows)
            ),
            standby=None if standby is None else BundleRef(standby.model, standby.path),
            canary=self._canary(),
        )

    def generation(self) -> int:
        """The number of the newest transition that changed what is deployed; 0 before the first."""
        newest = self._db.execute("SELECT max(sequence) FROM transitions WHERE serving").fetchone()[0]
        return int(newest or 0)

    def transitions(self, digest: str | None = None) -> list[Transition]:
        """The audit trail, oldest first; of one version if its digest is given."""
        rows = self._db.execute(
            "SELECT * FROM transitions WHERE ?1 IS NULL OR digest = ?1 ORDER BY sequence", (digest,)
        )
        return [
            Transition(
                sequence=row["sequence"],
                digest=row["digest"],
                from_state=ModelState(row["from_state"]) if row["from_state"] else None,
                to_state=ModelState(row["to_state"]),
                reason=Reason(row["actor"], row["why"], row["evidence_digest"]),
                at_ns=row["at_ns"],
                share=row["share"],
                drawn_by=row["drawn_by"],
                successor=row["successor"],
            )
            for row in rows
        ]

    def _canary(self) -> Canary | None:
        version = self.only(ModelState.CANARY)
        if version is None:
            return None
        newest = self._db.execute(
            "SELECT share, drawn_by FROM transitions WHERE digest = ? ORDER BY sequence DESC LIMIT 1",
            (version.model.digest,),
        ).fetchone()
        return Canary(BundleRef(version.model, version.path), newest["share"], newest["drawn_by"])

    def _of_row(self, row: Any) -> Version:
        return Version(
            model=ModelId(row["name"], row["version"], row["digest"]),
            state=ModelState(row["state"]),
            signature_digest=row["signature_digest"],
            path=self._root / row["path"],
            registered_ns=row["registered_ns"],
        )
