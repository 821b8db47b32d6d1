"""Words of short texts: how often each frequent word occurs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sidecar.signature import Kind
from trainer.graph import ML

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from trainer.graph import Graph
    from trainer.steps.raw import Raw

SPACE = " "


class Words(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Counts of the most frequent words of each field.

    most: so many words of a field, the most frequent, and of equals the first in the alphabet. Words are
    what stands between blanks, as it is written: upper and lower case and full stops make other words, so
    send texts in the form that is to be counted. Takes text [rows, fields]; gives float64 [rows, features],
    the words of one field after those of another.

    >>> Words(most=2).fit_transform(np.array([["late bus late"], ["bus"]], object)).tolist()
    [[1.0, 2.0], [1.0, 0.0]]
    """

    def __init__(self, most: int = 100) -> None:
        self.most = most

    def fit(self, texts: ArrayLike, label: ArrayLike | None = None) -> Words:  # noqa: ARG002 - scikit-learn's form
        """Find the words. Raises ValueError when a field has none."""
        fields = np.asarray(texts, object)
        self.n_features_in_ = fields.shape[1]
        self.words_ = []
        for column in fields.T:
            counts = Counter(word for text in column.tolist() for word in text.split(SPACE) if word)
            if not counts:
                raise ValueError("a field has no words in any row; leave it out")
            ranked = sorted(counts, key=lambda word: (-counts[word], word))
            self.words_.append(sorted(ranked[: self.most]))
        return self

    def transform(self, texts: ArrayLike) -> NDArray[np.float64]:
        """Count the words."""
        check_is_fitted(self)
        fields = np.asarray(texts, object)
        made = np.zeros((len(fields), sum(map(len, self.words_))))
        start = 0
        for words, column in zip(self.words_, fields.T, strict=True):
            places = {word: start + place for place, word in enumerate(words)}
            for row, text in enumerate(column.tolist()):
                for word in text.split(SPACE):
                    if word in places:
                        made[row, places[word]] += 1
            start += len(words)
        return made

    def get_feature_names_out(self, input_features: Sequence[str]) -> NDArray[np.object_]:
        """field_word."""
        names = [
            f"{field}_{word}"
            for field, words in zip(input_features, self.words_, strict=True)
            for word in words
        ]
        return np.array(names, object)


@dataclass(frozen=True, eq=False)
class Counted:
    """Columns of the block of texts whose words a fitted step counts."""

    columns: tuple[int, ...]
    step: Words

    @property
    def width(self) -> int:
        """How many features it gives."""
        return sum(map(len, self.step.words_))

    @property
    def group(self) -> tuple[Any, ...]:
        """Equal to no other's."""
        return (type(self), id(self))

    @property
    def texts(self) -> set[str]:
        """None: it tells words apart, not texts."""
        return set()

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """The only one."""
        (only,) = parts
        return only

    def write(self, graph: Graph, raw: Raw) -> str:
        """Append the nodes from the block to the counts; return their name, float32 [rows, features]."""
        block, width = raw.block(Kind.TEXT)
        counts = [
            _write_counts(graph, graph.columns(block, (column,), width), words)
            for column, words in zip(self.columns, self.step.words_, strict=True)
        ]
        return graph.concat(counts)


def _write_counts(graph: Graph, text: str, words: list[str]) -> str:
    split, _ = graph.add_many("StringSplit", text, outputs=2, delimiter=SPACE)
    numbers = graph.add(
        "LabelEncoder",
        split,
        domain=ML,
        keys_strings=words,
        values_int64s=list(range(1, len(words) + 1)),
        default_int64=0,
    )
    # [rows, 1, words of the text], as many as the longest text has, and then each against each known word.
    each = graph.add("Transpose", numbers, perm=[0, 2, 1])
    same = graph.cast_float(graph.add("Equal", each, graph.constant(np.arange(1, len(words) + 1))))
    return graph.add("ReduceSum", same, graph.constant(np.array([1], np.int64)), keepdims=0)
