"""Two fields exchanged: each has values that the other one usually has, or the greater is the smaller one."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from trainer.skew.density import Density
from trainer.skew.verdict import Fit, Suspicion, promising

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from trainer.skew.background import Background
    from trainer.skew.rows import AuditRows


def swaps(
    suspect: AuditRows, background: Background, fields: Sequence[int], *, are_numbers: bool
) -> Iterator[Suspicion]:
    """Every two fields, all numbers or all texts, that explain the rows better when they are exchanged.

    For two numbers their difference must be likelier the other way round, too: on a humid day the temperature
    is like a dew point and the dew point like a temperature, but it is the lower one still.
    """
    sent = _Likely(background, suspect, fields)
    for one, other in combinations(fields, 2):
        nats = sent.exchanged(one, other) - sent.as_is(one, other)
        if not promising(nats):
            continue
        fit = _fit(background, suspect, one, other)
        usually = _Likely(background, background.rows, (one, other)).exchanged(one, other) - fit.right
        if are_numbers:
            difference = _difference(background.rows, one, other)
            density = Density.of(difference)
            nats = nats + _reversed(density, _difference(suspect, one, other))
            usually = usually + _reversed(density, difference)
        yield _swap(one, other, nats, usually, fit)


def reversals(suspect: AuditRows, background: Background, fields: Sequence[int]) -> Iterator[Suspicion]:
    """Every two fields of numbers whose difference is likelier the other way round.

    A difference stays what it is where both fields move with the season: it is never warmer at the dew point.
    That is so where it is steadier than either of them; a dew point and a humidity only happen to differ.
    """
    spread = {field: _spread(background.values(field)) for field in fields}
    for one, other in combinations(fields, 2):
        right = _difference(background.rows, one, other)
        if not _spread(right) < min(spread[one], spread[other]):
            continue
        density = Density.of(right)
        nats = _reversed(density, _difference(suspect, one, other))
        if promising(nats):
            fit = _fit(background, suspect, one, other)
            yield _swap(one, other, nats, _reversed(density, right), fit)


class _Likely:
    """How likely the values of some fields are as values of each other."""

    def __init__(self, background: Background, rows: AuditRows, fields: Sequence[int]) -> None:
        self._of = {
            (one, other): background.log_likelihood(other, rows.values[:, one])
            for one in fields
            for other in fields
        }

    def as_is(self, one: int, other: int) -> NDArray[np.float64]:
        return self._of[one, one] + self._of[other, other]

    def exchanged(self, one: int, other: int) -> NDArray[np.float64]:
        return self._of[one, other] + self._of[other, one]


def _fit(background: Background, suspect: AuditRows, one: int, other: int) -> Fit:
    back, forth = suspect.values[:, other], suspect.values[:, one]
    return Fit(
        background.log_likelihood(one, back) + background.log_likelihood(other, forth),
        background.own_log_likelihood(one) + background.own_log_likelihood(other),
        (background.on_steps(one, back) + background.on_steps(other, forth)) / 2,
        (background.own_on_steps(one) + background.own_on_steps(other)) / 2,
    )


def _swap(one: int, other: int, sent: NDArray[np.float64], right: NDArray[np.float64], fit: Fit) -> Suspicion:
    return Suspicion("swap", (one, other), "exchanged", sent, right, facts={}, fit=fit)


def _spread(values: NDArray[np.float64]) -> float:
    present = values[~np.isnan(values)]
    return float(present.std()) if len(present) else 0.0


def _difference(rows: AuditRows, one: int, other: int) -> NDArray[np.float64]:
    return np.asarray(rows.values[:, one] - rows.values[:, other])


def _reversed(density: Density, difference: NDArray[np.float64]) -> NDArray[np.float64]:
    return density.log_likelihood(-difference) - density.log_likelihood(difference)
