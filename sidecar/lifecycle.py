"""The life of a model version: its states, the arrows between them, the words for both; nothing that acts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sidecar.errors import ConflictError, InvalidRequestError

if TYPE_CHECKING:
    from pathlib import Path

    from sidecar.domain import ModelId


class ModelState(StrEnum):
    """Where a version stands.

        (new) ──▶ REGISTERED ──▶ ADMITTED ──▶ SHADOW ◀─▶ CANARY ──▶ CHAMPION ──▶ STANDBY ──▶ RETIRED
                      │            │            │           │        │
                      ▼            ▼            ▼           ▼        ▼
                   REFUSED      REFUSED      REJECTED    REJECTED  ROLLED_BACK
                                            SUPERSEDED

    ADMITTED and SHADOW may become CHAMPION without a CANARY; a roll-back leads from STANDBY or RETIRED to
    CHAMPION, and an override from ROLLED_BACK to SHADOW. A CANARY that becomes one again has another share.
    REFUSED, REJECTED and SUPERSEDED have no way out: to try again, export a new version.
    """

    REGISTERED = "registered"
    """Known, not yet checked."""
    ADMITTED = "admitted"
    """Passed the admission check."""
    SHADOW = "shadow"
    """Scores live traffic beside the champion."""
    CANARY = "canary"
    """Answers a part of the calls in the champion's place, and scores the rest. At most one version at a
    time."""
    CHAMPION = "champion"
    """Makes the replies. At most one version at a time."""
    STANDBY = "standby"
    """The former champion, while the new one is on probation: it goes on scoring, and a roll-back returns to
    it. At most one version at a time."""
    RETIRED = "retired"
    """A former champion whose successor passed its probation; without a standby, a roll-back returns to the
    newest of these."""
    REFUSED = "refused"
    """Failed the admission check."""
    REJECTED = "rejected"
    """A candidate the gate turned down."""
    SUPERSEDED = "superseded"
    """A candidate whose recipe was fitted anew: the newer fit took its place in the shadow."""
    ROLLED_BACK = "rolled_back"
    """A former champion that was taken back; only an override lets it try again."""


ARROWS: frozenset[tuple[ModelState | None, ModelState]] = frozenset(
    {
        (None, ModelState.REGISTERED),
        (ModelState.REGISTERED, ModelState.ADMITTED),
        (ModelState.REGISTERED, ModelState.REFUSED),
        (ModelState.ADMITTED, ModelState.REFUSED),
        (ModelState.ADMITTED, ModelState.SHADOW),
        (ModelState.ADMITTED, ModelState.CHAMPION),
        (ModelState.SHADOW, ModelState.CHAMPION),
        (ModelState.SHADOW, ModelState.REJECTED),
        (ModelState.SHADOW, ModelState.SUPERSEDED),
        (ModelState.SHADOW, ModelState.CANARY),
        (ModelState.CANARY, ModelState.CANARY),
        (ModelState.CANARY, ModelState.CHAMPION),
        (ModelState.CANARY, ModelState.REJECTED),
        (ModelState.CANARY, ModelState.SHADOW),
        (ModelState.CHAMPION, ModelState.STANDBY),
        (ModelState.CHAMPION, ModelState.ROLLED_BACK),
        (ModelState.STANDBY, ModelState.CHAMPION),
        (ModelState.STANDBY, ModelState.RETIRED),
        (ModelState.RETIRED, ModelState.CHAMPION),
        (ModelState.ROLLED_BACK, ModelState.SHADOW),
    }
)
"""Every change of state there is; None stands for a version the registry does not know yet."""

SERVING = frozenset({ModelState.SHADOW, ModelState.CANARY, ModelState.CHAMPION, ModelState.STANDBY})
"""The states of the versions that a deployment holds."""


def next_states(state: ModelState | None) -> list[ModelState]:
    """The states that `state` has an arrow to, in the order of the enum."""
    return [to for to in ModelState if (state, to) in ARROWS]


def check_arrow(state: ModelState | None, to: ModelState) -> None:
    """Raise ConflictError, saying what is possible instead, when there is no arrow from `state` to `to`."""
    if (state, to) not in ARROWS:
        possible = ", ".join(next_states(state)) or "nothing: export a new version to try again"
        raise ConflictError(f"a version that is {state or 'new'} cannot become {to}; possible: {possible}")


def changes_serving(state: ModelState | None, to: ModelState) -> bool:
    """Whether this arrow changes what is deployed."""
    return state in SERVING or to in SERVING


@dataclass(frozen=True, slots=True)
class Reason:
    """Who changes something and why, for the audit trail.

    Raises InvalidRequestError when `actor` or `why` is empty.
    """

    actor: str
    why: str
    evidence_digest: str = ""

    def __post_init__(self) -> None:
        for name in ("actor", "why"):
            if not getattr(self, name).strip():
                raise InvalidRequestError(f"the reason has no '{name}'; say who acts and why")


@dataclass(frozen=True, slots=True)
class Version:
    """One registered version and where it stands now. `path` is absolute."""

    model: ModelId
    state: ModelState
    signature_digest: str
    path: Path
    registered_ns: int


@dataclass(frozen=True, slots=True)
class Transition:
    """One arrow of the lifecycle, as it was taken.

    sequence: the registry's running number. share: of the calls that a canary answers from then on, drawn_by:
    the field whose values are drawn, None for the calls' ids; both None for any other. successor: the digest
    of who took a superseded candidate's place; empty for any other.
    """

    sequence: int
    digest: str
    from_state: ModelState | None
    to_state: ModelState
    reason: Reason
    at_ns: int
    share: float | None = None
    drawn_by: str | None = None
    successor: str = ""
