"""What answers requests: the deployment in force with its loaded model, replaced as one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sidecar.domain import NOTHING_DEPLOYED, BundleRef, Deployment
from sidecar.errors import BundleError, NoChampionError
from sidecar.session import Model, load_model


@dataclass(frozen=True, slots=True)
class Serving:
    """A deployment and its champion, loaded; no model when nothing is deployed."""

    deployment: Deployment
    model: Model | None


class Champion:
    """The one place that says which model answers.

    Readers call `model` once for each request and keep what they got, so no reply can mix two models.
    `deploy` replaces the pair by one assignment, so readers never wait.
    """

    def __init__(self) -> None:
        self._serving = Serving(NOTHING_DEPLOYED, None)
        self._deploying = asyncio.Lock()

    def __repr__(self) -> str:
        loaded = self._serving.model
        return f"<Champion {loaded.bundle.model if loaded else None}>"

    @property
    def deployment(self) -> Deployment:
        """The deployment in force."""
        return self._serving.deployment

    @property
    def deployed(self) -> bool:
        """Whether a model answers."""
        return self._serving.model is not None

    @property
    def model(self) -> Model:
        """The loaded champion. Raises NoChampionError when nothing is deployed."""
        model = self._serving.model
        if model is None:
            raise NoChampionError("no model is deployed; promote one, then call again")
        return model

    async def deploy(self, deployment: Deployment) -> None:
        """Load and warm in a thread, then swap. A champion that already serves is not loaded again.

        Raises SidecarError, and changes nothing, when the champion cannot be loaded.
        """
        async with self._deploying:
            self._serving = Serving(deployment, await self._load(deployment.champion))

    async def _load(self, champion: BundleRef | None) -> Model | None:
        if champion is None:
            return None
        present = self._serving.model
        if present is not None and present.bundle.model == champion.model:
            return present
        model = await asyncio.to_thread(load_model, champion.path)
        if model.bundle.model != champion.model:
            raise BundleError(f"{champion.path.name[:12]} holds {model.bundle.model}, not {champion.model}")
        return model
