"""What answers requests: the deployment in force with its loaded models, replaced as one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.canary import check_draw, check_fields
from sidecar.domain import NOTHING_DEPLOYED, BundleRef, Deployment
from sidecar.errors import BundleError, ModelFailedError, NoChampionError, NotFoundError
from sidecar.session import Model, Prediction, load_model

if TYPE_CHECKING:
    from sidecar.canary import Draw
    from sidecar.domain import ModelId
    from sidecar.signature import Blocks, Signature


@dataclass(frozen=True, slots=True)
class Answering:
    """Who answers a call: `model`, and where its run fails, `otherwise`."""

    model: Model
    otherwise: Model | None = None


@dataclass(frozen=True, slots=True)
class Serving:
    """The models that answer at one time. drawn: the canary, for whom the champion answers where it fails."""

    champion: Answering
    drawn: Answering | None = None
    draw: Draw | None = None

    @property
    def signature(self) -> Signature:
        """The fields that every call brings."""
        return self.champion.model.bundle.signature

    @property
    def models(self) -> tuple[Model, ...]:
        """The champion, then the canary if there is one."""
        return (self.champion.model,) if self.drawn is None else (self.champion.model, self.drawn.model)

    def answering(self, request_id: str, blocks: Blocks) -> Answering:
        """Who answers the call with this id and these rows."""
        if self.drawn is not None and self.draw is not None and self.draw.takes(request_id, blocks):
            return self.drawn
        return self.champion

    def named(self, name: str, version: str) -> Answering | None:
        """Who has this version, and alone answers for it; None for the task without a version.

        Raises NotFoundError for a model that is not deployed.
        """
        if not version and name == self.champion.model.bundle.model.name:
            return None
        for model in self.models:
            if (name, version) == (model.bundle.model.name, model.bundle.model.version):
                return Answering(model)
        deployed = [f"{model.bundle.model.name}/{model.bundle.model.version}" for model in self.models]
        are = f"{' and '.join(deployed)} {'is' if len(deployed) == 1 else 'are'}"
        raise NotFoundError(f"model {name[:128]!a}/{version[:128]!a} is not deployed; {are}")


class Champion:
    """The one place that says which models answer, and counts what the champion answers for its canary.

    Readers take `serving` once for each call and keep what they got, so no reply can mix two models.
    `deploy` replaces it by one assignment, so readers never wait.
    """

    def __init__(self) -> None:
        self.deployment = NOTHING_DEPLOYED
        """The deployment in force."""
        self.canary_failures = 0
        """Calls on which the canary failed and the champion answered."""
        self._serving: Serving | None = None
        self._deploying = asyncio.Lock()

    def __repr__(self) -> str:
        models = self._serving.models if self._serving else (None,)
        return f"<Champion {', '.join(str(model and model.bundle.model) for model in models)}>"

    @property
    def deployed(self) -> bool:
        """Whether a model answers."""
        return self._serving is not None

    @property
    def serving(self) -> Serving:
        """The loaded models. Raises NoChampionError when nothing is deployed."""
        if self._serving is None:
            raise NoChampionError("no model is deployed; promote one, then call again")
        return self._serving

    def run(self, answering: Answering, blocks: Blocks) -> tuple[Model, Prediction]:
        """Score a call's rows; gives the model that answered, too.

        Raises ModelFailedError when its run fails and nobody answers otherwise, or that run fails as well.
        """
        try:
            return answering.model, answering.model.run(blocks)
        except ModelFailedError:
            if answering.otherwise is None:
                raise
        prediction = answering.otherwise.run(blocks)
        self.canary_failures += 1
        return answering.otherwise, prediction

    async def deploy(self, deployment: Deployment) -> None:
        """Load and warm in a thread, then swap. A model that answers already is not loaded again.

        Raises SidecarError, and changes nothing, when a model cannot be loaded or the canary takes other
        fields.
        """
        async with self._deploying:
            self._serving = await asyncio.to_thread(self._load_all, deployment)
            self.deployment = deployment

    def _load_all(self, deployment: Deployment) -> Serving | None:
        if deployment.champion is None:
            return None
        present = {model.bundle.model: model for model in self._serving.models} if self._serving else {}
        champion = _load(deployment.champion, present)
        if deployment.canary is None:
            return Serving(Answering(champion))
        canary = _load(deployment.canary.ref, present)
        check_fields(_fields(canary), _fields(champion))
        by = deployment.canary.by
        draw = check_draw(deployment.canary, champion.bundle.signature.column(by) if by else None)
        return Serving(Answering(champion), Answering(canary, otherwise=champion), draw)


def _load(ref: BundleRef, present: dict[ModelId, Model]) -> Model:
    if ref.model in present:
        return present[ref.model]
    model = load_model(ref.path)
    if model.bundle.model != ref.model:
        raise BundleError(f"{ref.path.name[:12]} holds {model.bundle.model}, not {ref.model}")
    return model


def _fields(model: Model) -> tuple[ModelId, str]:
    return model.bundle.model, model.bundle.signature.digest
