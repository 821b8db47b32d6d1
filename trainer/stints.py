"""Since when a version stands where it does, by the clock of the machine, which rows were received by too.

What was received before the present reign of a champion, or before a candidate's present time in its shadow,
is evidence of another matter: who returns begins anew. Only a fit that took the place of an earlier one of
its recipe goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.bundle import open_bundle
from sidecar.errors import BundleError
from sidecar.lifecycle import ModelState
from trainer.fitted_until import may_know_until_ns

if TYPE_CHECKING:
    from sidecar.domain import ModelId
    from sidecar.lifecycle import Transition, Version
    from sidecar.registry import Registry


@dataclass(frozen=True, slots=True)
class Stint:
    """One fit's time in the champion's shadow.

    received_since_ns, received_until_ns: rows received in this span, by the machine's clock, are of it; None
    while it lasts. trained_until_ns: the newest event that the fit can know, None where not known.
    """

    model: ModelId
    received_since_ns: int = 0
    received_until_ns: int | None = None
    trained_until_ns: int | None = None


def stints_of(registry: Registry, candidate: str, champion: str) -> tuple[Stint, ...]:
    """The stints of a candidate's recipe in a champion's shadow (digests), the candidate's own the last."""
    reign = _came(registry, champion, ModelState.CHAMPION)
    begun = reign.sequence if reign else 0
    ended = {step.successor: step for step in registry.transitions() if step.successor}
    found = [_stint(registry, candidate, reign, None)]
    while (step := ended.get(found[-1].model.digest)) and step.sequence > begun:
        found.append(_stint(registry, step.digest, reign, found[-1].received_since_ns))
    return tuple(reversed(found))


def _stint(registry: Registry, digest: str, reign: Transition | None, until_ns: int | None) -> Stint:
    version = registry.find(digest)
    begun_ns = max(reign.at_ns if reign else 0, since_ns(registry, digest, ModelState.SHADOW))
    return Stint(version.model, begun_ns, until_ns, _may_know_until_ns(version))


def _may_know_until_ns(version: Version) -> int:
    try:
        return may_know_until_ns(open_bundle(version.path), version)
    except BundleError:
        return version.registered_ns  # taken away: nothing later can be known to it


def since_ns(registry: Registry, digest: str, state: ModelState) -> int:
    """When the version last came into this state from another one; 0 if never.

    A candidate that was canary for a while was in the shadow all the time.
    """
    step = _came(registry, digest, state)
    return step.at_ns if step else 0


def _came(registry: Registry, digest: str, state: ModelState) -> Transition | None:
    beside = {state, ModelState.CANARY} if state is ModelState.SHADOW else {state}
    steps = reversed(registry.transitions(digest))
    return next((step for step in steps if step.to_state is state and step.from_state not in beside), None)


def share_since_ns(registry: Registry, digest: str) -> int:
    """When the canary was last given a share; 0 if never."""
    given = (step.at_ns for step in reversed(registry.transitions(digest)) if step.share is not None)
    return next(given, 0)
