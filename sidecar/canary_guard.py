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
    """Rejects the canary once the engine has counted `most` calls on which it failed.

    No caller noticed any of them: the champion answered instead. The count begins anew with each canary.
    """

    def __init__(self, engine: Engine, registry: Registry, most: int) -> None:
        self._engine = engine
        self._registry = registry
        self._most = most
        self._canary: ModelId | None = None
        self._failures_before = self._failures_seen = 0

    async def run(self) -> None:
        """Guard until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once. Raises nothing: what the registry refuses is tried again at the next look."""
        deployed = self._engine.deployment.canary
        canary = deployed.ref.model if deployed else None
        failures = self._engine.stats().canary_failures
        if canary != self._canary:
            # What was counted since the last look may be this one's already.
            self._canary, self._failures_before = canary, self._failures_seen
        self._failures_seen = failures
        failed = failures - self._failures_before
        if canary is None or failed < self._most:
            return
        await reject(
            self._registry,
            canary,
            f"as canary it failed on {failed:,} calls, which the champion answered instead",
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
