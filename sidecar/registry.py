"""The registry: which versions there are, where each stands, and how it came there.

One SQLite file that many processes share; the trainer speaks to the sidecar through it and nothing else.
Each change is one transaction: the comparison with the expected state, the swap, and one audit row for each
arrow taken. The database itself refuses a second champion, and refuses to change an audit row.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self, TypeVar

from sidecar.audit_chain import GENESIS, Audit, Entry, read_entries, verify_chain
from sidecar.domain import NOTHING_DEPLOYED, Deployment
from sidecar.errors import ConflictError, InvalidRequestError, NoChampionError, NotFoundError
from sidecar.lifecycle import ModelState, Reason, Transition, Version, check_arrow
from sidecar.registry_activations import Activation, add_activation, newest_activation
from sidecar.registry_arrows import NOBODY, Arrows, check_judged, check_signature
from sidecar.registry_decisions import (
    Judged,
    StoredDecision,
    add_decision,
    newest_decision,
    read_decisions,
    read_judged,
)
from sidecar.registry_file import RegistryFile
from sidecar.registry_looks import Look, add_look, read_looks
from sidecar.registry_versions import Versions

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sidecar.bundle import Bundle
    from sidecar.domain import BundleRef, Canary, ModelId

__all__ = [
    "NOBODY",
    "Activation",
    "Judged",
    "Look",
    "ModelState",
    "Reason",
    "Registry",
    "StoredDecision",
    "Transition",
    "Version",
]

_Decided = TypeVar("_Decided", StoredDecision, Judged)


class Registry:
    """The registry in the file at `path`.

    Reading before the file exists finds nothing; the first change, or `create`, makes it. Any number of
    threads and processes may use it. Every method raises UnavailableError when the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._file = RegistryFile(self.path)

    def __repr__(self) -> str:
        return f"Registry({str(self.path)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create(self) -> None:
        """Make the file if there is none."""
        with self._file.write():
            pass

    def close(self) -> None:
        """Close the file; another call opens it again."""
        self._file.close()

    # Changes.

    def register(self, bundle: Bundle, reason: Reason) -> Version:
        """Make a version known as REGISTERED. One that is known already is returned as it stands."""
        digest = bundle.model.digest
        with self._file.write() as db:
            versions, arrows = self._open(db)
            if not db.execute("SELECT 1 FROM versions WHERE digest = ?", (digest,)).fetchone():
                db.execute(
                    "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        digest,
                        bundle.model.name,
                        bundle.model.version,
                        ModelState.REGISTERED,
                        bundle.signature.digest,
                        self._stored_path(bundle.path),
                        time.time_ns(),
                    ),
                )
                arrows.record(digest, (None, ModelState.REGISTERED), reason)
            return versions.find(digest)

    def move(
        self,
        digest: str,
        *,
        expected: ModelState,
        to: ModelState,
        reason: Reason,
        override: bool = False,
    ) -> Version:
        """Take one arrow that concerns one version only; `promote` and `roll_back` move champions.

        override: lets one that was rolled back try again.
        Raises ConflictError when the version is not in `expected`, there is no such arrow, or it was rolled
        back, NotFoundError when there is no such version, and for a move to SHADOW NoChampionError when there
        is nothing to compare with and SignatureMismatchError when the champion expects other fields.
        """
        check_arrow(expected, to)
        if ModelState.CHAMPION in (expected, to):
            raise ConflictError("a champion changes together with its successor: promote or roll back")
        if to is ModelState.CANARY:
            raise ConflictError("a canary needs a share of the calls: start one with `trainer canary`")
        if to is ModelState.SUPERSEDED:
            raise ConflictError("a candidate is superseded by another one, which takes its place")
        if expected is ModelState.ROLLED_BACK and not override:
            raise ConflictError(
                f"{self.find(digest).model} was rolled back; it comes back only with --override"
            )
        with self._file.write() as db:
            versions, arrows = self._open(db)
            version = versions.find(digest)
            if to is ModelState.SHADOW:
                arrows.check_comparable(version)
            arrows.take(version, expected, to, reason)
            return versions.find(digest)

    def supersede(
        self, successor: str, reason: Reason, before: Callable[[Sequence[BundleRef]], Sequence[ModelId]]
    ) -> Version:
        """Let an ADMITTED version take the place of some that are SHADOW, in one step; returns it.

        before: which of those that are SHADOW, in order of arrival; the last is the one that it goes on from.
        It is asked within the transaction, so that nobody comes or goes meanwhile. Raises ConflictError when
        the version is in another state, NotFoundError when there is no such version, and NoChampionError and
        SignatureMismatchError as `move` to SHADOW does.
        """
        with self._file.write() as db:
            versions, arrows = self._open(db)
            after = versions.find(successor)
            arrows.check_comparable(after)
            for model in before(versions.deployment().candidates):
                arrow = ModelState.SHADOW, ModelState.SUPERSEDED
                arrows.take(versions.find(model.digest), *arrow, reason, successor=after.model.digest)
            arrows.take(after, ModelState.ADMITTED, ModelState.SHADOW, reason)
            return versions.find(successor)

    def start_canary(
        self, digest: str, share: float, reason: Reason, *, by: str | None = None, over: str | None = None
    ) -> Deployment:
        """Let a version that is SHADOW or CANARY answer a share of the calls, above 0 and below 1.

        by: the field whose values are drawn; None for the calls' ids (see `sidecar.domain.Canary`). over: the
        digest of the champion that the version was judged against; None for whoever it is.
        Raises InvalidRequestError for another share, ConflictError when the version is in another state, when
        it has that very share, another is the canary, or `over` is not the champion now, NotFoundError when
        there is no such version, and NoChampionError when there is no champion.
        """
        if not 0 < share < 1:
            raise InvalidRequestError(f"share is {share:g}; give more than 0 and less than 1")
        with self._file.write() as db:
            versions, arrows = self._open(db)
            version = versions.find(digest)
            check_arrow(version.state, ModelState.CANARY)
            champion = versions.only(ModelState.CHAMPION)
            canary = versions.only(ModelState.CANARY)
            if champion is None:
                raise NoChampionError("there is no champion in whose place a canary could answer")
            check_judged(version, champion, over)
            if canary is not None and canary.model != version.model:
                raise ConflictError(f"{canary.model} is the canary; end that first")
            _check_changes(versions.deployment().canary, share, by)
            check_signature(version, champion)
            arrows.take(version, version.state, ModelState.CANARY, reason, part=(share, by))
            return versions.deployment()

    def promote(self, digest: str, reason: Reason, *, over: str | None = None) -> Deployment:
        """Make a version that is ADMITTED, SHADOW or CANARY the champion; the one before it stands by.

        One that stood by until now retires, and another that was the canary goes back to the shadow.

        over: the digest of the champion that the version was judged against, NOBODY when there was none to
        judge it against; None promotes over whoever it is.
        Raises ConflictError when the version is in another state, when `over` is not the champion now, or
        when the champion expects other fields; NotFoundError when there is no such version.
        """
        with self._file.write() as db:
            versions, arrows = self._open(db)
            version = versions.find(digest)
            check_arrow(version.state, ModelState.CHAMPION)
            if version.state in (ModelState.STANDBY, ModelState.RETIRED):
                raise ConflictError(
                    f"{version.model} is {version.state}; roll back to return to a former champion"
                )
            champion = versions.only(ModelState.CHAMPION)
            check_judged(version, champion, over)
            if champion is not None:
                check_signature(version, champion)
                standby = versions.only(ModelState.STANDBY)
                if standby is not None:
                    arrows.take(standby, ModelState.STANDBY, ModelState.RETIRED, reason)
                arrows.take(champion, ModelState.CHAMPION, ModelState.STANDBY, reason)
            arrows.take(version, version.state, ModelState.CHAMPION, reason)
            arrows.end_canary(reason)
            return versions.deployment()

    def roll_back(self, reason: Reason, *, over: str | None = None) -> Deployment:
        """Take the champion back and return to the one before it; a canary goes back to the shadow.

        over: the digest of the champion that shall be taken back; None takes back whoever it is.
        Raises NoChampionError when there is no champion, ConflictError when there is none before it, or when
        `over` is not the champion now.
        """
        with self._file.write() as db:
            versions, arrows = self._open(db)
            champion = versions.only(ModelState.CHAMPION)
            if champion is None:
                raise NoChampionError("there is no champion to roll back")
            if over not in (None, champion.model.digest):
                raise ConflictError(
                    f"champion {over[:8]} is to be taken back, but now it is {champion.model}"
                )
            former = versions.only(ModelState.STANDBY) or versions.newest_retired()
            if former is None:
                raise ConflictError(f"{champion.model} is the first champion; there is none to return to")
            arrows.take(champion, ModelState.CHAMPION, ModelState.ROLLED_BACK, reason)
            arrows.take(former, former.state, ModelState.CHAMPION, reason)
            arrows.end_canary(reason)
            return versions.deployment()

    def record_activation(self, generation: int, sidecar: str, error: str) -> None:
        """Say that `sidecar` serves a generation, or why not; what it said before of it is replaced."""
        with self._file.write() as db:
            add_activation(db, Activation(generation, sidecar, error, time.time_ns()))

    def save_decision(self, decision: StoredDecision) -> int:
        """Keep a decision for ever; returns its running number."""
        with self._file.write() as db:
            return add_decision(db, decision)

    def add_look(self, look: Look) -> None:
        """Keep for ever that the log was judged, by somebody who could act on it."""
        with self._file.write() as db:
            add_look(db, look)

    # Questions.

    def find(self, prefix: str) -> Version:
        """The version whose digest begins with `prefix`.

        Raises NotFoundError when there is none, InvalidRequestError when there are several or it is empty.
        """
        if not prefix:
            raise InvalidRequestError("name a version by its digest, or the beginning of it")
        with self._file.read() as db:
            found = self._versions(db).beginning(prefix) if db else []
            if not found:
                raise NotFoundError(f"no version has a digest that begins with {prefix!r}")
            if len(found) > 1:
                raise InvalidRequestError(
                    f"several versions have a digest that begins with {prefix!r}; give more of it"
                )
            return found[0]

    def champion(self) -> Version | None:
        """The champion, or None."""
        with self._file.read() as db:
            return self._versions(db).only(ModelState.CHAMPION) if db else None

    def standby(self) -> Version | None:
        """The former champion, while the new one is on probation; None when none stands by."""
        with self._file.read() as db:
            return self._versions(db).only(ModelState.STANDBY) if db else None

    def versions(self) -> list[Version]:
        """All versions, newest first."""
        with self._file.read() as db:
            return self._versions(db).newest_first() if db else []

    def transitions(self, digest: str | None = None) -> list[Transition]:
        """The audit trail, oldest first; of one version if its digest is given."""
        with self._file.read() as db:
            return self._versions(db).transitions(digest) if db else []

    def generation(self) -> int:
        """The number of the newest transition that changed what is deployed; 0 before the first."""
        with self._file.read() as db:
            return self._versions(db).generation() if db else 0

    def deployment(self) -> Deployment:
        """What should serve: the champion, and the shadows in the order in which they became such."""
        with self._file.read() as db:
            return self._versions(db).deployment() if db else NOTHING_DEPLOYED

    def activation(self, generation: int) -> Activation | None:
        """What a sidecar said last about this generation, or about a later one that contains it."""
        with self._file.read() as db:
            return newest_activation(db, generation) if db else None

    def decisions(self) -> list[StoredDecision]:
        """All decisions, oldest first."""
        with self._file.read() as db:
            return read_decisions(db) if db else []

    def newest_decision(
        self, *, candidate: str = "", champion: str = "", actions: Sequence[str] = (), since_ns: int = 0
    ) -> StoredDecision | None:
        """The newest decision on these two (digests), of one of these actions, that was taken since then.

        Whatever is left out may be any.
        """
        with self._file.read() as db:
            if db is None:
                return None
            return newest_decision(
                db, candidate=candidate, champion=champion, actions=actions, since_ns=since_ns
            )

    def looks(self) -> list[Look]:
        """All looks at the log, in the order of what had been logged."""
        with self._file.read() as db:
            return read_looks(db) if db else []

    def history(self) -> list[Transition | StoredDecision]:
        """Transitions and decisions in the order in which they were written."""
        return self._in_order(read_decisions)

    def course(self) -> list[Transition | Judged]:
        """The same as `history`, but of decisions only whom they were on."""
        return self._in_order(read_judged)

    def entries(self) -> list[Entry]:
        """The chain that ties transitions and decisions, oldest first."""
        with self._file.read() as db:
            return read_entries(db) if db else []

    def verify(self) -> Audit:
        """Whether transitions and decisions are as they were written, by the chain that ties them."""
        with self._file.read() as db:
            return verify_chain(db) if db else Audit(0, GENESIS, ())

    def _in_order(
        self, decisions: Callable[[sqlite3.Connection], list[_Decided]]
    ) -> list[Transition | _Decided]:
        with self._file.read() as db:
            if db is None:
                return []
            rows: dict[tuple[str, int], Transition | _Decided] = {
                ("transitions", step.sequence): step for step in self._versions(db).transitions()
            }
            rows |= {("decisions", one.sequence): one for one in decisions(db)}
            return [rows[entry.kind, entry.row] for entry in read_entries(db)]

    def _versions(self, db: sqlite3.Connection) -> Versions:
        return Versions(db, self.path.parent)

    def _open(self, db: sqlite3.Connection) -> tuple[Versions, Arrows]:
        versions = self._versions(db)
        return versions, Arrows(db, versions)

    def _stored_path(self, path: Path) -> str:
        """Relative where the bundle lies beside the registry, so that the whole folder can be moved."""
        absolute = path.absolute()
        inside = absolute.is_relative_to(self.path.parent)
        return str(absolute.relative_to(self.path.parent) if inside else absolute)


def _check_changes(canary: Canary | None, share: float, by: str | None) -> None:
    """Raise ConflictError where the canary would begin anew with what it has.

    Its days would, and so would the bets on its callers' waits, whose error is spent once for each share.
    """
    if canary is not None and (canary.share, canary.by) == (share, by):
        raise ConflictError(
            f"{canary.ref.model} is the canary already, with {canary.words}; nothing would change"
        )
