"""What answers requests: the deployment in force with its loaded models, replaced as one."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sidecar.canary import check_draw, check_fields
from sidecar.domain import NOTHING_DEPLOYED, BundleRef, Deployment
from sidecar.engine.contract import CanaryStats
from sidecar.errors import BundleError, ModelFailedError, NoChampionError, NotFoundError
from sidecar.session import Model, Prediction, load_model

if TYPE_CHECKING:
    from sidecar.canary import Draw
    from sidecar.domain import ModelId
    from sidecar.signature import Blocks, Signature


@dataclass(slots=True)
class Counts:
    """As in `CanaryStats`; written on the event loop alone."""

    calls: int = 0
    answered: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class LoadedCanary:
    """A model that answers what is drawn for it, and what is counted of that."""

    model: Model
    draw: Draw
    counts: Counts


@dataclass(frozen=True, slots=True)
class Fallback:
    """Who answers a call on which its canary fails. counts: the canary's."""

    champion: Model
    counts: Counts


@dataclass(frozen=True, slots=True)
class Answering:
    """Who answers a call, and where its run fails; fallback: None where the call fails with it."""

    model: Model
    fallback: Fallback | None = None


@dataclass(frozen=True, slots=True)
class Serving:
    """The models that answer at one time."""

    champion: Model
    canary: LoadedCanary | None = None

    @property
    def signature(self) -> Signature:
        """The fields that every call brings."""
        return self.champion.bundle.signature

    @property
    def models(self) -> tuple[Model, ...]:
        """The champion, then the canary if there is one."""
        return (self.champion,) if self.canary is None else (self.champion, self.canary.model)

    def answering(self, request_id: str, blocks: Blocks) -> Answering:
        """Who answers the call with this id and these rows."""
        canary = self.canary
        if canary is None:
            return Answering(self.champion)
        canary.counts.calls += 1
        if canary.draw.takes(request_id, blocks):
            return Answering(canary.model, Fallback(self.champion, canary.counts))
        return Answering(self.champion)

    def named(self, name: str, version: str) -> Answering | None:
        """Who has this version, and alone answers for it; None for the task without a version.

        Raises NotFoundError for a model that is not deployed.
        """
        if not version and name == self.champion.bundle.model.name:
            return None
        for model in self.models:
            if (name, version) == (model.bundle.model.name, model.bundle.model.version):
                return Answering(model)
        deployed = [f"{model.bundle.model.name}/{model.bundle.model.version}" for model in self.models]
        are = f"{' and '.join(deployed)} {'is' if len(deployed) == 1 else 'are'}"
        raise NotFoundError(f"model {name[:128]!a}/{version[:128]!a} is not deployed; {are}")


class Champion:
    """The one place that says which models answer, and counts a canary's calls.

    Readers take `serving` once for each call and keep what they got, so no reply can mix two models.
    `deploy` replaces it by one assignment, so readers never wait.
    """

    def __init__(self) -> None:
        self.deployment = NOTHING_DEPLOYED
        """The deployment in force."""
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

    def run(self, answering: Answering, blocks: Blocks) -> tuple[Model, Prediction, int]:
        """Score a call's rows; gives the model that answered, too, and the time of a run that failed before.

        Raises ModelFailedError when its run fails and nobody answers otherwise, or that run fails as well.
        """
        fallback = answering.fallback
        if fallback is None:
            return answering.model, answering.model.run(blocks), 0
        start = time.perf_counter_ns()
        try:
            prediction = answering.model.run(blocks)
        except ModelFailedError:
            failed_ns = time.perf_counter_ns() - start
            prediction = fallback.champion.run(blocks)
            fallback.counts.failed += 1
            return fallback.champion, prediction, failed_ns
        fallback.counts.answered += 1
        return answering.model, prediction, 0

    @property
    def canary_stats(self) -> CanaryStats | None:
        """What was counted of the canary's calls; None without one."""
        canary = self._serving.canary if self._serving else None
        if canary is None:
            return None
        return CanaryStats(canary.model.bundle.model.digest, **asdict(canary.counts))

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
            return Serving(champion)
        canary = _load(deployment.canary.ref, present)
        check_fields(_fields(canary), _fields(champion))
        by = deployment.canary.by
        draw = check_draw(deployment.canary, champion.bundle.signature.column(by) if by else None)
        former = self._serving.canary if self._serving else None
        # It is counted on while model and share are the same, whatever else is deployed.
        same = former is not None and (former.model, former.draw) == (canary, draw)
        return Serving(champion, former if same else LoadedCanary(canary, draw, Counts()))


def _load(ref: BundleRef, present: dict[ModelId, Model]) -> Model:
    if ref.model in present:
        return present[ref.model]
    model = load_model(ref.path)
    if model.bundle.model != ref.model:
        raise BundleError(f"{ref.path.name[:12]} holds {model.bundle.model}, not {ref.model}")
    return model


def _fields(model: Model) -> tuple[ModelId, str]:
    return model.bundle.model, model.bundle.signature.digest
