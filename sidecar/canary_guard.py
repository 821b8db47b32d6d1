"""Ends a canary that fails calls: at once, without waiting for outcomes or for the trainer."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sidecar.errors import SidecarError
from sidecar.lifecycle import ModelState, Reason

if TYPE_CHECKING:
    from sidecar.domain import ModelId
    from sidecar.engine.contract import Engine
    from sidecar.registry import Registry

LOOK_SECONDS = 0.5
ACTOR = "sidecar"

_log = logging.getLogger(__name__)


class CanaryGuard:
    """Rejects the canary once the engine has counted `most` calls on which it failed at its present share.

    No caller noticed any of them: the champion answered instead.
    """

    def __init__(self, engine: Engine, registry: Registry, most: int) -> None:
        self._engine = engine
        self._registry = registry
        self._most = most

    async def run(self) -> None:
        """Guard until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once. Raises nothing: what the registry refuses is tried again at the next look."""
        deployed, counted = self._engine.deployment.canary, self._engine.stats().canary
        if deployed is None or counted is None or counted.failed < self._most:
            return
        canary = deployed.ref.model
        if canary.digest != counted.digest:
            return  # another has just come
        await reject(
            self._registry,
            canary,
            f"as canary it failed on {counted.failed:,} of {counted.answered + counted.failed:,} calls, "
            f"which the champion answered instead; [shadow] canary_failures is {self._most:,}",
        )


async def reject(registry: Registry, canary: ModelId, why: str) -> None:
    """End a canary. Raises nothing: where the registry refuses, the log says so."""
    reason = Reason(ACTOR, why)
    try:
        await asyncio.to_thread(
            registry.move,
            canary.digest,
            expected=ModelState.CANARY,
            to=ModelState.REJECTED,
            reason=reason,
        )
    except SidecarError as error:
        _log.warning("canary %s stays, though %s: %s", canary, why, error)
    else:
        _log.warning("canary %s is rejected: %s", canary, why)
