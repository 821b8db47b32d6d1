"""Two fields exchanged: each has values that the other one usually has, or the greater is the smaller one."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from trainer.skew.density import Density
from trainer.skew.verdict import Suspicion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from trainer.skew.background import Background
    from trainer.skew.rows import AuditRows


def swaps(suspect: AuditRows, background: Background, groups: Sequence[Sequence[int]]) -> Iterator[Suspicion]:
    """Every two fields of one group that explain the rows better when they are exchanged."""
    for group in groups:
        sent = _as_each_other(background, suspect, group)
        right = _as_each_other(background, background.rows, group)
        for one, other in combinations(range(len(group)), 2):
            nats = _exchanged(sent, one, other)
            if nats.sum() > 0:
                yield _swap(group[one], group[other], nats, _exchanged(right, one, other))


def reversals(suspect: AuditRows, background: Background, fields: Sequence[int]) -> Iterator[Suspicion]:
    """Every two fields of numbers whose difference is likelier the other way round.

    A difference stays what it is where both fields move with the season: it is never warmer at the dew point.
    """
    for one, other in combinations(fields, 2):
        right = _difference(background.rows, one, other)
        density = Density.of(right)
        nats = _reversed(density, _difference(suspect, one, other))
        if nats.sum() > 0:
            yield _swap(one, other, nats, _reversed(density, right))


def _swap(one: int, other: int, sent: NDArray[np.float64], right: NDArray[np.float64]) -> Suspicion:
    return Suspicion("swap", (one, other), "exchanged", sent, right, facts={})


def _as_each_other(
    background: Background, rows: AuditRows, group: Sequence[int]
) -> list[list[NDArray[np.float64]]]:
    """[i][j]: how likely field i's values are as values of field j."""
    # What is said of a row is said of its value, and values repeat.
    columns = [np.unique(rows.values[:, field], return_inverse=True) for field in group]
    return [
        [background.densities[field].log_likelihood(values)[row] for field in group]
        for values, row in columns
    ]


def _exchanged(likely: Sequence[Sequence[NDArray[np.float64]]], one: int, other: int) -> NDArray[np.float64]:
    return likely[one][other] + likely[other][one] - likely[one][one] - likely[other][other]


def _difference(rows: AuditRows, one: int, other: int) -> NDArray[np.float64]:
    return rows.values[:, one] - rows.values[:, other]


def _reversed(density: Density, difference: NDArray[np.float64]) -> NDArray[np.float64]:
    return density.log_likelihood(-difference) - density.log_likelihood(difference)
