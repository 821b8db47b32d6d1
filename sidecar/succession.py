"""Who takes whose place in the shadow: a new fit of a recipe that of the fits before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.bundle import open_bundle
from sidecar.errors import BundleError
from sidecar.lifecycle import ModelState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sidecar.bundle import Bundle
    from sidecar.domain import BundleRef, ModelId
    from sidecar.lifecycle import Reason, Version
    from sidecar.registry import Registry


def start_shadow(registry: Registry, digest: str, reason: Reason, *, override: bool = False) -> Version:
    """Let a registered version score live traffic beside the champion.

    One that is in the shadow already, or the canary, is left there. A new fit of a recipe takes the place of
    the ones before it in the shadow, and goes on with their evidence. override: lets one that was rolled back
    try again. Raises NotFoundError when it is not registered, BundleError when its bundle is damaged or gone,
    and as `Registry.move` to SHADOW does.
    """
    version = registry.find(digest)
    if version.state in (ModelState.SHADOW, ModelState.CANARY):
        return version
    if version.state is ModelState.ADMITTED:
        bundle = open_bundle(version.path)
        # To open a bundle takes as long as to read it whole, and nobody else may write to the registry while
        # it is asked who goes. Bundles never change, so only one that comes at that moment is opened then.
        opened = {ref.model.digest: _opened(ref.path) for ref in registry.deployment().candidates}
        return registry.supersede(
            version.model.digest, reason, lambda candidates: earlier_fits(candidates, bundle, opened)
        )
    return registry.move(
        version.model.digest,
        expected=version.state,
        to=ModelState.SHADOW,
        reason=reason,
        override=override,
    )


def earlier_fits(
    candidates: Sequence[BundleRef], bundle: Bundle, opened: Mapping[str, Bundle | None]
) -> list[ModelId]:
    """Those of the candidates that are earlier fits of the same recipe, in their order.

    opened: bundles of candidates that were opened before, by digest, None where one could not be. One that
    was fitted on newer rows than `bundle` is no earlier one, whenever it came.
    """
    until_ns = bundle.fitted_until_ns or 0
    return [
        ref.model
        for ref in candidates
        if (other := opened[ref.model.digest] if ref.model.digest in opened else _opened(ref.path))
        and _same_recipe(other, bundle)
        and (other.fitted_until_ns or 0) <= until_ns
    ]


def _same_recipe(one: Bundle, other: Bundle) -> bool:
    """Whether both were fitted by one recipe, declared alike; what a search chose may differ."""
    return bool(one.recipe_digest) and one.recipe_digest == other.recipe_digest


def _opened(path: Path) -> Bundle | None:
    try:
        return open_bundle(path)
    except BundleError:
        return None  # taken away or damaged: nobody's predecessor
