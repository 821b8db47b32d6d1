"""A small search, as a task declares it: settings of a recipe's estimator, of which the best is taken."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid, ParameterSampler

if TYPE_CHECKING:
    from collections.abc import Sequence

Setting = dict[str, Any]
"""Parameters of an estimator by name, as its `set_params` takes them."""


@dataclass(frozen=True)
class Search:
    """Settings to try; the one that earns most before the hold-out is chosen.

    space: values by parameter, as scikit-learn's ParameterGrid takes them, or distributions among them, as
    its ParameterSampler does; several mappings are searched one after the other, and `{}` is the recipe as
    it stands. Parameters of an inner step are named as in scikit-learn, `step__parameter`. tries: the most
    settings to try. A grid that has no more is tried whole, in ParameterGrid's order; else so many are drawn.
    stretches: on how many stretches as long as the task's `holdout` each setting is measured, the newest
    first; it is fitted anew before each.
    Raises ValueError naming what is wrong.
    """

    space: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    tries: int
    stretches: int = 1

    def __post_init__(self) -> None:
        for name in ("tries", "stretches"):
            if getattr(self, name) < 1:
                raise ValueError(f"search: {name} must be at least 1")
        try:
            settings = self.settings(0)
        except (TypeError, ValueError) as error:
            raise ValueError(f"search: {error}") from error
        if not settings:
            raise ValueError("search: the space is empty; give a parameter with values to try")

    def settings(self, seed: int) -> tuple[Setting, ...]:
        """What is tried, in order; the same seed gives the same."""
        size = self._grid_size()
        chosen = (
            ParameterGrid(self.space)
            if size is not None and size <= self.tries
            else ParameterSampler(self.space, self.tries, random_state=seed)
        )
        return tuple({name: _plain(value) for name, value in setting.items()} for setting in chosen)

    def check(self, estimator: Any) -> None:
        """Raise ValueError naming a parameter that `estimator` does not have."""
        known = estimator.get_params(deep=True)
        for name in (name for space in self._spaces for name in space):
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(sorted(known))}"
                raise ValueError(f"search: {type(estimator).__name__} has no parameter '{name}'; {hint}")

    @property
    def _spaces(self) -> Sequence[Mapping[str, Any]]:
        return [self.space] if isinstance(self.space, Mapping) else self.space

    def _grid_size(self) -> int | None:
        """How many settings the space has; None where a distribution makes them endless."""
        if any(hasattr(values, "rvs") for space in self._spaces for values in space.values()):
            return None
        return len(ParameterGrid(self.space))


def words(setting: Setting) -> str:
    """A setting as a person reads it."""
    return ", ".join(f"{name}={value!r}" for name, value in setting.items())


def with_setting(estimator: Any, setting: Setting) -> Any:
    """Give a fresh estimator these parameters; estimators among them are copied first."""
    return estimator.set_params(**clone(setting, safe=False))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
