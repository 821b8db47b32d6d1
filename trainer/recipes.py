"""Whether two bundles are fits of one recipe, and which candidate a newer fit takes the place of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidecar.bundle import open_bundle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.bundle import Bundle
    from sidecar.lifecycle import Version
    from sidecar.registry import Registry

_DECLARED = ("name", "recipe", "transform", "signature_digest")


def same_recipe(one: Bundle, other: Bundle) -> bool:
    """Whether both were fitted by one recipe, declared alike. Models that were brought have none.

    Parameters that a search chooses may differ from fit to fit.
    """
    fitted = bool(one.manifest.get("estimator") and other.manifest.get("estimator"))
    return fitted and _declared(one.manifest) == _declared(other.manifest)


def earlier_fit(registry: Registry, bundle: Bundle) -> Version | None:
    """The candidate in the shadow that is an earlier fit of the same recipe; None without one."""
    fits = (ref for ref in registry.deployment().candidates if same_recipe(open_bundle(ref.path), bundle))
    return next((registry.find(ref.model.digest) for ref in fits), None)


def _declared(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a fit's manifest says of the recipe itself, and not of the rows that it was fitted on."""
    estimator, search = manifest["estimator"], manifest.get("search")
    searched = sorted(search["tried"][0]["setting"]) if search else []
    fixed = {name: value for name, value in estimator["parameters"].items() if name not in searched}
    return {
        **{name: manifest.get(name) for name in _DECLARED},
        "class": estimator["class"],
        "parameters": fixed,
        "searched": searched,
    }
