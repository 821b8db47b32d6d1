"""How much a field counts when findings are ranked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def weight_of(field: str, importance: Mapping[str, float]) -> float:
    """The field's importance to the model; of one that is not known the mean of those that are.

    What never varied in training was not shuffled to any effect, so it is not known what it can do.

    >>> weight_of("age", {"age": 0.9, "job": 0.1}), weight_of("pdays", {"age": 0.9, "job": 0.1})
    (0.9, 0.5)
    """
    if field in importance:
        return importance[field]
    return sum(importance.values()) / len(importance) if importance else 0.0
