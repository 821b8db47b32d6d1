"""What a recipe is, as it was declared: fits of one recipe take each other's place in the shadow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.canonical_json import json_digest
from trainer.offline import plain

if TYPE_CHECKING:
    from trainer.task import Task


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
