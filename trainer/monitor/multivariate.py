"""Whether the fields together have changed, even if none alone has: a classifier tells now from before.

It is fitted on the earlier half of the days of both stretches and asked about the later half. Rows of one day
share their weather and their news, so a classifier that saw part of a day would know the rest of it: whole
days are held out. They are also the units of the test, each like the one before (`trainer.monitor.level`): a
fortnight of warm weather looks new to any classifier, and is no change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from sidecar.signature import Blocks
from trainer.days import DAY_NS
from trainer.monitor.level import LEAST_DAYS, Daily, compare
from trainer.utility import usable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sidecar.signature import Signature

MOST_ROWS = 10_000
"""Of each half of a stretch, spread evenly; more would only cost time."""
TELLING = 0.05
"""Fields are named where the p-value is below."""
NAMED = 5
LEAST_DROP = 0.005
"""Fields whose held-out loss of area is smaller are not named."""
_CATEGORIES = 250  # the classifier takes at most 255


@dataclass(frozen=True)
class Difference:
    """How well now and before can be told apart.

    area: the held-out area under the ROC curve, 0.5 for not at all. p: one-sided, of rows of now ranking no
    higher than those before. fields: those it used, with the area that is lost when the field's values are
    shuffled among the held-out rows, the greatest first; none where p is not below TELLING.
    """

    area: float
    p: float
    fields: tuple[tuple[str, float], ...]
    days_before: int
    days_now: int
    rows: int


@dataclass(frozen=True, eq=False)
class Stretch:
    """Raw rows in order of time. event_ns: int64 [n]."""

    blocks: Blocks
    event_ns: NDArray[np.int64]

    def take(self, rows: slice | NDArray[np.int64]) -> Stretch:
        """The rows at these indices."""
        return Stretch(self.blocks.take(rows), self.event_ns[rows])

    def halves(self) -> tuple[Stretch, Stretch] | None:
        """The earlier and the later half of the days, thinned to MOST_ROWS; None with too few days."""
        days = np.unique(self.event_ns // DAY_NS)
        if len(days) < 2 * LEAST_DAYS:
            return None
        middle = int(np.searchsorted(self.event_ns, days[len(days) // 2] * DAY_NS))
        first, second = self.take(slice(0, middle)), self.take(slice(middle, len(self.event_ns)))
        return first.thinned(), second.thinned()

    def thinned(self) -> Stretch:
        """At most MOST_ROWS rows, spread evenly."""
        count = len(self.event_ns)
        return self.take(np.linspace(0, count - 1, min(count, MOST_ROWS)).astype(np.int64))


def tell_apart(signature: Signature, before: Stretch, now: Stretch) -> Difference | None:
    """Try to tell the rows of two stretches apart; None where one has too few days."""
    parts = before.halves(), now.halves()
    if parts[0] is None or parts[1] is None:
        return None
    (old, held_old), (new, held_new) = parts[0], parts[1]
    codes = _Codes(signature, Blocks.concat([old.blocks, new.blocks]))
    classifier = HistGradientBoostingClassifier(
        max_iter=50, min_samples_leaf=50, categorical_features=codes.categorical, random_state=0
    )
    with threadpool_limits(limits=1):
        classifier.fit(
            np.concatenate([codes.matrix(old.blocks), codes.matrix(new.blocks)]),
            _is_now(len(old.event_ns), len(new.event_ns)),
        )
        held = codes.matrix(Blocks.concat([held_old.blocks, held_new.blocks]))
        score = _score(classifier, held)
        is_now = _is_now(len(held_old.event_ns), len(held_new.event_ns))
        area = _area(score, is_now)
        p = _p_of_ranks(_ranks(score), is_now, np.concatenate([held_old.event_ns, held_new.event_ns]))
        fields = _importance(classifier, held, is_now, area, codes.names) if p < TELLING else ()
    return Difference(
        area=area,
        p=p,
        fields=fields,
        days_before=len(np.unique(before.event_ns // DAY_NS)),
        days_now=len(np.unique(now.event_ns // DAY_NS)),
        rows=len(held),
    )


class _Codes:
    """Raw rows as one matrix: numbers as the graph uses them, integers, and texts by their number."""

    def __init__(self, signature: Signature, known: Blocks) -> None:
        self._signature = signature
        self._texts: list[dict[str, int]] = []
        for column in known.texts.T:
            values, counts = np.unique(column.astype(str), return_counts=True)
            often = values[np.argsort(-counts, kind="stable")[:_CATEGORIES]]
            self._texts.append({text: code for code, text in enumerate(often.tolist())})
        plain = (*signature.numbers, *signature.integers)
        self.names = [field.name for field in (*plain, *signature.texts)]
        self.categorical = [False] * len(plain) + [True] * len(signature.texts)

    def matrix(self, blocks: Blocks) -> NDArray[np.float64]:
        """float64 [n, fields]; NaN for missing, and for texts that are rare or were not known."""
        texts = [
            np.array([codes.get(text, np.nan) for text in column], np.float64)
            for codes, column in zip(self._texts, blocks.texts.T, strict=True)
        ]
        plain = usable(self._signature, blocks).astype(np.float64), blocks.integers.astype(np.float64)
        return np.concatenate([*plain, *(text[:, None] for text in texts)], axis=1)


def _is_now(before: int, now: int) -> NDArray[np.bool_]:
    return np.arange(before + now) >= before


def _score(classifier: Any, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    score: NDArray[np.float64] = classifier.predict_proba(matrix)[:, 1]
    return score


def _ranks(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rank of each score from 1, equal ones the mean of theirs."""
    ordered = np.sort(score)
    first, last = (np.searchsorted(ordered, score, side=side) for side in ("left", "right"))
    ranks: NDArray[np.float64] = (first + last + 1) / 2
    return ranks


def _area(score: NDArray[np.float64], is_now: NDArray[np.bool_]) -> float:
    now = int(is_now.sum())
    above = float(_ranks(score)[is_now].sum()) - now * (now + 1) / 2
    return above / (now * (len(is_now) - now))


def _p_of_ranks(ranks: NDArray[np.float64], is_now: NDArray[np.bool_], event_ns: NDArray[np.int64]) -> float:
    """One-sided: the area above one half is the mean rank of now's rows above the others', scaled."""
    before, now = (Daily.of(event_ns[rows], ranks[rows]) for rows in (~is_now, is_now))
    shift = compare(before, now)
    assert shift is not None, "each half has LEAST_DAYS"
    return shift.p / 2 if shift.change > 0 else 1 - shift.p / 2


def _importance(
    classifier: Any,
    matrix: NDArray[np.float64],
    is_now: NDArray[np.bool_],
    area: float,
    names: Sequence[str],
) -> tuple[tuple[str, float], ...]:
    rng = np.random.default_rng(0)
    drops = []
    for column, name in enumerate(names):
        shuffled = matrix.copy()
        shuffled[:, column] = rng.permutation(shuffled[:, column])
        drops.append((name, area - _area(_score(classifier, shuffled), is_now)))
    drops.sort(key=lambda drop: -drop[1])
    return tuple((name, drop) for name, drop in drops[:NAMED] if drop >= LEAST_DROP)
