"""Brings the registry's newest deployment into force, and says so in the registry."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from sidecar.canary_guard import reject
from sidecar.errors import SidecarError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sidecar.domain import Deployment, ModelId
    from sidecar.engine.contract import Engine
    from sidecar.registry import Registry
    from sidecar.shadow.supervisor import ShadowSupervisor

POLL_SECONDS = 0.1
RETRY_SECONDS = 10.0
"""A deployment that failed is tried again after this time, or at once when the registry has a newer one."""

_log = logging.getLogger(__name__)


class Watcher:
    """Compares the registry's generation with the one in force and deploys the difference.

    What cannot be deployed leaves the former deployment in force. `sidecar` is the name under which this
    process speaks in the registry.
    """

    def __init__(
        self, registry: Registry, engine: Engine, shadows: ShadowSupervisor, *, sidecar: str
    ) -> None:
        self._registry = registry
        self._engine = engine
        self._shadows = shadows
        self._sidecar = sidecar
        self._handled = 0  # the newest generation that was deployed or failed
        self._retry_at = 0.0
        self._changed = asyncio.Condition()
        self.error = ""
        """Why the registry's newest deployment is not the one in force; empty when it is."""

    def __repr__(self) -> str:
        return f"<Watcher generation {self._handled} {self.error or 'live'}>"

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(POLL_SECONDS)

    async def look(self) -> None:
        """Look once, and deploy what is new. Raises nothing: what goes wrong is in `error`."""
        now = asyncio.get_running_loop().time()
        try:
            generation = await asyncio.to_thread(self._registry.generation)
            due = bool(self.error) and now >= self._retry_at
            if generation == self._handled and not due:
                return
            deployment = await asyncio.to_thread(self._registry.deployment)
        except Exception as unreadable:  # noqa: BLE001 - such as a state that only a later version knows
            self._failed(f"the registry cannot be followed: {unreadable}")
            return
        error = await self._deploy(deployment)
        try:
            await asyncio.to_thread(
                self._registry.record_activation, deployment.generation, self._sidecar, error
            )
        except SidecarError as untold:
            error = error or f"deployed, but the registry could not be told: {untold}"
        async with self._changed:
            self._handled = deployment.generation
            if error:
                self._failed(error)
            else:
                self.error = ""
                _log.info("generation %d is in force: %s", deployment.generation, _summary(deployment))
            self._changed.notify_all()

    async def live(self, generation: int, timeout_seconds: float) -> Deployment:
        """Wait until this generation or a later one is in force, and return the deployment that is.

        Raises UnavailableError when it cannot be deployed, or not within the time.
        """
        try:
            async with asyncio.timeout(timeout_seconds), self._changed:
                await self._changed.wait_for(lambda: self._handled >= generation)
        except TimeoutError:
            raise UnavailableError(
                f"generation {generation} is registered, but not in force after {timeout_seconds:g} s; "
                "`sidecar status` shows when it is"
            ) from None
        if self.error:
            raise UnavailableError(
                f"generation {generation} is registered, but the former one still serves: {self.error}"
            )
        return self._engine.deployment

    async def deployments(self) -> AsyncIterator[Deployment]:
        """The deployment in force, then each one that replaces it; a slow reader misses some in between."""
        while True:
            sent = self._engine.deployment
            yield sent
            async with self._changed:
                while self._engine.deployment.generation == sent.generation:
                    await self._changed.wait()

    async def _deploy(self, deployment: Deployment) -> str:
        """Deploy; the error in words, or "" without one."""
        try:
            await self._engine.deploy(deployment)
            await asyncio.to_thread(self._shadows.deploy, deployment)
        except SidecarError as error:
            if deployment.canary is not None:
                return await self._deploy_without_canary(deployment, deployment.canary.ref.model, error)
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever a bundle does, the former one goes on serving
            _log.exception("cannot deploy generation %d", deployment.generation)
            return f"{type(error).__name__}: {error}"
        return ""

    async def _deploy_without_canary(
        self, deployment: Deployment, canary: ModelId, error: SidecarError
    ) -> str:
        """Perhaps the canary is to blame: then it is rejected, and keeps nobody from serving."""
        without = await self._deploy(replace(deployment, canary=None))
        if without:
            return without
        await reject(self._registry, canary, f"as canary it cannot be deployed: {error}")
        return f"without its canary: {error}"

    def _failed(self, error: str) -> None:
        if error != self.error:
            _log.error("%s", error)
        self.error = error
        self._retry_at = asyncio.get_running_loop().time() + RETRY_SECONDS


def _summary(deployment: Deployment) -> str:
    candidates = ", ".join(str(candidate.model) for candidate in deployment.candidates)
    champion = deployment.champion.model if deployment.champion else "none"
    standby = f", standby {deployment.standby.model}" if deployment.standby else ""
    canary = deployment.canary
    drawn = f", canary {canary.ref.model} with {canary.words}" if canary else ""
    return f"champion {champion}, candidates {candidates or 'none'}{drawn}{standby}"
