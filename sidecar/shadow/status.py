"""How a model in the shadow is doing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecar.domain import ModelId


class ShadowState(StrEnum):
    """What a candidate's worker is doing.

        ┌──▶ RESTARTING ──▶ RUNNING ──▶ STOPPED
        │         │            │
        └─────────┴── crash ◀──┘
                        └──▶ QUARANTINED

    A candidate that is not deployed any more, or a shutdown, stops it in any state but QUARANTINED.
    """

    RESTARTING = "restarting"
    """Its process is being started, for the first time or after a crash; rows wait."""
    RUNNING = "running"
    QUARANTINED = "quarantined"
    STOPPED = "stopped"


class Role(StrEnum):
    """Why a model is in the shadow."""

    CANDIDATE = "candidate"
    CANARY = "canary"
    """A candidate that answers a part of the calls itself, and scores the others."""
    STANDBY = "standby"
    """The former champion, while the new one is on probation."""
    CHAMPION = "champion"
    """The champion, which scores the calls that the canary answers in its place."""
    COPY = "copy"
    """The champion's own copy: what it makes of a row, the champion made of it."""


@dataclass(frozen=True, slots=True)
class ShadowStatus:
    """Rows of one model since it was deployed: offered = scored + failed + shed + queued.

    failed: it raised, crashed or took too long. shed: not given to it (queue full, quarantined, stopped).
    queued: waiting or in hand. restarts: starts of the worker after the first.
    """

    model: ModelId
    role: Role
    state: ShadowState
    scored: int
    failed: int
    shed: int
    queued: int
    restarts: int
