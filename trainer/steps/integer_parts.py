"""Integers that float32 cannot hold, in parts that it can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from trainer.steps.timestamps import whole
from trainer.steps.whole_numbers import WholeNumbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from trainer.graph import Graph
    from trainer.steps.tensor import Tensor
    from trainer.steps.whole_numbers import Number

_BASE = 2**24


class IntegerParts(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Every digit of an integer of any size, as three numbers: x = (high * 2^24 + middle) * 2^24 + low.

    middle and low are 0 ... 2^24 - 1, high is negative for negative integers. Trees split on them well. Takes
    int64 [rows, fields]; gives float64 [rows, 3 * fields]: high of every field, then middle, then low.

    >>> IntegerParts().fit_transform(np.array([[2**24 + 1], [-1]])).tolist()
    [[0.0, 1.0, 1.0], [-1.0, 16777215.0, 16777215.0]]
    """

    def fit(self, integers: ArrayLike, label: ArrayLike | None = None) -> IntegerParts:  # noqa: ARG002 - scikit-learn's form
        """Learn nothing. Raises ValueError when the values are not integers."""
        self.n_features_in_ = whole(integers).shape[1]
        return self

    def transform(self, integers: ArrayLike) -> NDArray[np.float64]:
        """Compute the parts."""
        check_is_fitted(self)
        return np.concatenate(_parts(whole(integers)), axis=1).astype(np.float64)

    def get_feature_names_out(self, input_features: Sequence[str]) -> NDArray[np.object_]:
        """field_high, field_middle, field_low."""
        return np.array(
            [f"{field}_{part}" for part in ("high", "middle", "low") for field in input_features], object
        )


def write_integer_parts(graph: Graph, _: IntegerParts, tensor: Tensor) -> str:
    """Append the nodes from int64 to the parts, float32."""
    parts = _parts(WholeNumbers(graph, tensor.name))
    return graph.cast_float(graph.concat([part.name for part in parts]))


def _parts(integers: Number) -> tuple[Number, Number, Number]:
    middle = integers // _BASE
    return middle // _BASE, middle % _BASE, integers % _BASE
