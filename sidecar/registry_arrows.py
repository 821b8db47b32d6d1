"""Takes arrows of the lifecycle in an open registry, within the caller's transaction.

Each is a comparison with the expected state, the swap, and one audit row that is tied to all before it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sidecar.audit_chain import append_link
from sidecar.errors import ConflictError, NoChampionError, SignatureMismatchError
from sidecar.lifecycle import ModelState, changes_serving, check_arrow

if TYPE_CHECKING:
    import sqlite3

    from sidecar.lifecycle import Reason, Version
    from sidecar.registry_versions import Versions

NOBODY = ""
"""In place of a champion's digest: there was no champion."""
_Part = tuple[float | None, str | None]  # of the calls, and what they are drawn by
_NO_PART: _Part = (None, None)


class Arrows:
    """Moves the versions in `db`; `versions` reads them."""

    def __init__(self, db: sqlite3.Connection, versions: Versions) -> None:
        self._db = db
        self._versions = versions

    def take(
        self,
        version: Version,
        expected: ModelState,
        to: ModelState,
        reason: Reason,
        *,
        part: _Part = _NO_PART,
        successor: str = "",
    ) -> None:
        """Move a version. part: of a canary, its share and what that is drawn by.

        successor: the digest of who takes its place. Raises ConflictError when it is not in `expected`, or
        there is no such arrow.
        """
        digest = version.model.digest
        swapped = self._db.execute(
            "UPDATE versions SET state = ? WHERE digest = ? AND state = ?", (to, digest, expected)
        )
        if swapped.rowcount != 1:
            raise ConflictError(f"{version.model} is {version.state}, not {expected}; somebody moved first")
        self.record(digest, (expected, to), reason, part, successor)

    def end_canary(self, reason: Reason) -> None:
        """Let the canary, if there is one, go back to the shadow.

        What it showed beside one champion says nothing about another.
        """
        canary = self._versions.only(ModelState.CANARY)
        if canary is not None:
            self.take(canary, ModelState.CANARY, ModelState.SHADOW, reason)

    def check_comparable(self, version: Version) -> None:
        """Raise when there is no champion to compare a candidate with, or it expects other fields."""
        champion = self._versions.only(ModelState.CHAMPION)
        if champion is None:
            raise NoChampionError("nothing to shadow yet: promote a first champion")
        check_signature(version, champion, SignatureMismatchError)

    def record(
        self,
        digest: str,
        arrow: tuple[ModelState | None, ModelState],
        reason: Reason,
        part: _Part = _NO_PART,
        successor: str = "",
    ) -> None:
        """Write the audit row of an arrow that is taken."""
        state, to = arrow
        check_arrow(state, to)
        added = self._db.execute(
            "INSERT INTO transitions"
            " (digest, from_state, to_state, serving, actor, why, evidence_digest, at_ns, share, drawn_by,"
            " successor)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                digest,
                state,
                to,
                changes_serving(state, to),
                reason.actor,
                reason.why,
                reason.evidence_digest,
                time.time_ns(),
                *part,
                successor,
            ),
        )
        append_link(self._db, "transitions", int(added.lastrowid or 0))


def check_judged(version: Version, champion: Version | None, over: str | None) -> None:
    """Raise ConflictError when the version was judged against another than the champion now.

    over: that one's digest, NOBODY for none; None where it was not judged.
    """
    if over is None or over == (champion.model.digest if champion else NOBODY):
        return
    now = "there is none" if champion is None else f"it is {champion.model}"
    then = f"champion {over[:8]}" if over else "nobody, as the first champion"
    raise ConflictError(f"{version.model} was judged against {then}, but now {now}; judge it again")


def check_signature(
    version: Version,
    champion: Version,
    kind: type[ConflictError | SignatureMismatchError] = ConflictError,
) -> None:
    """Raise an error of this kind when the version expects other fields than the champion."""
    if version.signature_digest != champion.signature_digest:
        raise kind(
            f"{version.model} expects other fields (signature {version.signature_digest[:12]}) than the "
            f"champion {champion.model} (signature {champion.signature_digest[:12]})"
        )
