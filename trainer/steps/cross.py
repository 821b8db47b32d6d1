"""Crosses: several text fields as one category, for what holds only of the combination."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

SIGN = "\u00d7"
"""Between the parts of a crossed category."""


class Cross(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Text fields joined to one category, to be encoded by the next step.

    `make_pipeline(Cross(), OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=100))` has one
    feature for each frequent combination. A combination that was not fitted is unknown to the encoder, even
    when each of its parts is known. Takes text [rows, fields], at least two; gives text [rows, 1].

    >>> Cross().fit_transform(np.array([["JFK", "B6"]], object)).tolist()
    [['JFK\u00d7B6']]
    """

    def fit(self, texts: ArrayLike, label: ArrayLike | None = None) -> Cross:  # noqa: ARG002 - scikit-learn's form
        """Check the texts. Raises ValueError for a single field, or a text with the cross's sign in it."""
        fields = np.asarray(texts, object)
        if fields.shape[1] < 2:  # noqa: PLR2004 - it takes two
            raise ValueError("a cross needs at least two fields")
        marked = next((text for text in np.unique(fields.astype(str)) if SIGN in text), None)
        if marked is not None:
            raise ValueError(f"{marked!r} has the sign {SIGN!r} in it, which joins the fields; send another")
        self.n_features_in_ = fields.shape[1]
        return self

    def transform(self, texts: ArrayLike) -> NDArray[np.object_]:
        """Join each row."""
        check_is_fitted(self)
        joined = [SIGN.join(row) for row in np.asarray(texts, object).tolist()]
        return np.array(joined, object).reshape(-1, 1)

    def split(self, category: str) -> tuple[str, ...]:
        """The parts that were joined; unambiguous, as no fitted part has the sign in it."""
        return tuple(category.split(SIGN))

    def get_feature_names_out(self, input_features: Sequence[str]) -> NDArray[np.object_]:
        """The fields' names joined by "_x_"."""
        return np.array(["_x_".join(input_features)], object)
