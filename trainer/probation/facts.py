"""What the log says about who newly answers calls. Facts only; `trainer.probation.verdict` judges them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from sidecar.canonical_json import canonical_json, json_digest
from trainer.evidence import Evidence
from trainer.latency import Quantile, Quantiles, Speed
from trainer.waits import Waits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.domain import ModelId
    from trainer.policy import Policy


WHOLE = 1.0
"""The share of a champion."""


@dataclass(frozen=True)
class Reading:
    """The state of the bets on the former one at the end of a stretch of days.

    until: ISO date of its last day. units: so far, those at which something was at stake. gain: the former
    one's over the new one so far, in money. capital: see `trainer.betting.restarted_capital`.
    """

    until: str
    units: int
    gain: float
    capital: tuple[float, ...]


@dataclass(frozen=True)
class Probation:
    """Who newly answers calls, and the one before it, on the requests that the new one answered.

    share: of the calls that the new one answers: 1 for a champion, less for a canary, whose former one is the
    champion. drawn_by: the field that a canary's calls are drawn by, None for their ids. share_since_ns:
    since when it has its share, by the machine's clock; days: whole judged days at that share.
    matured_days: whole days since it began to answer calls that have matured, judged or not.
    evidence: of the former as a candidate against the new one, its stakes those of the units that are bet on.
    speed: of the new one where it serves; None where it cannot be judged. waits: of a canary's callers beside
    the champion's; None for a champion, which has nobody beside it. Both of all hours that have ended.
    """

    share: float
    share_since_ns: int
    drawn_by: str | None
    days: int
    matured_days: int
    evidence: Evidence
    readings: tuple[Reading, ...]
    speed: Speed | None
    waits: Waits | None = None

    @property
    def of_champion(self) -> bool:
        """Whether the new one is the champion, and not a canary."""
        return self.share == WHOLE

    @property
    def newcomer(self) -> ModelId:
        """Who is on probation."""
        return self.evidence.champion

    @property
    def former(self) -> ModelId:
        """Who would return."""
        return self.evidence.candidate

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of the canonical JSON."""
        return json_digest(self.to_json())

    @cached_property
    def canonical_json(self) -> str:
        """One text for equal facts."""
        return canonical_json(self.to_json())

    def budget(self, policy: Policy) -> tuple[float, float]:
        """The error that the bets may spend, and what is left of it for others."""
        return policy.rollback_error, 0.0

    def to_json(self) -> dict[str, Any]:
        """The facts as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        readings = (Reading(**{**one, "capital": tuple(one["capital"])}) for one in data["readings"])
        speed = data["speed"] and Speed(
            **{
                **data["speed"],
                "budget": Quantile(**data["speed"]["budget"]),
                "within": tuple(data["speed"]["within"]),
                "beyond": tuple(data["speed"]["beyond"]),
                "cpu": Quantiles.from_json(data["speed"]["cpu"]),
            }
        )
        return cls(
            share=data["share"],
            share_since_ns=data["share_since_ns"],
            drawn_by=data["drawn_by"],
            days=data["days"],
            matured_days=data["matured_days"],
            evidence=Evidence.from_json(data["evidence"]),
            readings=tuple(readings),
            speed=speed,
            waits=data["waits"] and Waits.from_json(data["waits"]),
        )
