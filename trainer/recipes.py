"""Whether two bundles are fits of one recipe, and which candidates a newer fit takes the place of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.bundle import open_bundle
from sidecar.canonical_json import json_digest
from sidecar.errors import BundleError
from trainer.fitted_until import fitted_until_ns
from trainer.offline import plain

if TYPE_CHECKING:
    from sidecar.bundle import Bundle
    from sidecar.lifecycle import Version
    from sidecar.registry import Registry
    from trainer.task import Task

DIGEST = "recipe_digest"
"""The fact of a manifest that names the recipe as it was declared; models that were brought have none."""


def recipe_digest(task: Task, recipe: str) -> str:
    """SHA-256 in hex of all that is declared of a recipe, its fields and decision rule included."""
    declared = {
        "task": task.name,
        "recipe": recipe,
        "signature": task.signature.digest,
        "transform": _spelled(task.candidates[recipe].transform),
        "estimator": _spelled(task.candidates[recipe].estimator()),
        "search": _spelled(task.candidates[recipe].search),
        "decision": _spelled(task.decision),
    }
    return json_digest(declared)


def same_recipe(one: Bundle, other: Bundle) -> bool:
    """Whether both were fitted by one recipe, declared alike; what a search chose may differ."""
    return bool(one.manifest.get(DIGEST)) and one.manifest[DIGEST] == other.manifest.get(DIGEST)


def earlier_fits(registry: Registry, bundle: Bundle) -> list[Version]:
    """The candidates in the shadow that are earlier fits of the same recipe, in order of arrival.

    One that was fitted on newer rows than `bundle` is no earlier one, whenever it came.
    """
    until_ns = fitted_until_ns(bundle) or 0
    return [
        registry.find(ref.model.digest)
        for ref in registry.deployment().candidates
        if (other := _opened(ref.path))
        and same_recipe(other, bundle)
        and (fitted_until_ns(other) or 0) <= until_ns
    ]


def _opened(path: Any) -> Bundle | None:
    try:
        return open_bundle(path)
    except BundleError:
        return None  # taken away or damaged: nobody's predecessor


def _spelled(value: Any) -> Any:
    """A declaration as JSON, in full: a repr would leave out the middle of long lists."""
    if isinstance(value, np.ndarray | list | tuple | set | frozenset):
        return [_spelled(one) for one in value]
    parts = value if isinstance(value, Mapping) else _parts(value)
    if parts is not None:
        return {str(name): _spelled(one) for name, one in parts.items()}
    return _name(value) if callable(value) else plain(value)


def _parts(value: Any) -> dict[str, Any] | None:
    """What an object was declared with; None for a plain value, a class and a function."""
    if isinstance(value, type):
        return None
    if hasattr(value, "get_params"):
        return {"class": type(value), **value.get_params(deep=False)}
    if is_dataclass(value):
        return {"class": type(value), **{one.name: getattr(value, one.name) for one in fields(value)}}
    if hasattr(value, "dist"):  # one of scipy's distributions, of which a search draws
        return {"class": value.dist.name, "args": value.args, "kwds": value.kwds}
    return None


def _name(of: Any) -> str:
    return f"{of.__module__}.{getattr(of, '__qualname__', type(of).__qualname__)}"
