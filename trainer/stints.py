"""Since when a version stands where it does, by the clock of the machine, which rows were received by too.

What was received before the present reign of a champion, or before a candidate's present time in its shadow,
is evidence of another matter: who returns begins anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.lifecycle import ModelState

if TYPE_CHECKING:
    from sidecar.registry import Registry


def since_ns(registry: Registry, digest: str, state: ModelState) -> int:
    """When the version last came into this state from another one; 0 if never.

    A candidate that was canary for a while was in the shadow all the time.
    """
    beside = {state, ModelState.CANARY} if state is ModelState.SHADOW else {state}
    steps = registry.transitions(digest)
    came = (
        step.at_ns for step in reversed(steps) if step.to_state is state and step.from_state not in beside
    )
    return next(came, 0)


def share_since_ns(registry: Registry, digest: str) -> int:
    """When the canary was last given a share; 0 if never."""
    given = (step.at_ns for step in reversed(registry.transitions(digest)) if step.share is not None)
    return next(given, 0)
