"""Streams of paired differences in utility, with a truth that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

AMOUNT_CAP = 2_000.0
PENNY_LOSS = 999.0
"""One row in a thousand loses so much; each other gains 1."""

_DIFFERS, _APART = 0.5, 0.2


def amounts(rng: Generator, size: tuple[int, ...], cap: float = AMOUNT_CAP) -> NDArray[np.float64]:
    """Heavy-tailed money: log-normal with median 80 and sigma 1.2, cut at the cap."""
    return np.minimum(rng.lognormal(np.log(80), 1.2, size), cap)


def mean_amount(cap: float = AMOUNT_CAP) -> float:
    """The expectation of `amounts`."""
    low, high = np.log(80), np.log(cap)
    kept = np.exp(low + 1.2**2 / 2) * ndtr((high - low - 1.2**2) / 1.2)
    return float(kept + cap * ndtr((low - high) / 1.2))


def fraud_null(rng: Generator, streams: int, rows: int) -> NDArray[np.float64]:
    """Two in a hundred rows are decided differently, and win or lose their amount alike. Bound: the cap."""
    return _sparse(rng, streams, rows, 0.02, 0.5) * amounts(rng, (streams, rows)) / AMOUNT_CAP


def fraud_gain(rng: Generator, streams: int, rows: int, part: float) -> NDArray[np.float64]:
    """A candidate that saves `part` more than the champion.

    Three rows in a hundred are fraud, of which the champion stops six in ten. Champion and candidate differ
    on one fraud in ten, and the candidate stops so many more of those that it saves 0.6 * part of all fraud
    more.
    """
    wins = 0.5 + 0.6 * part / 0.1 / 2
    return _sparse(rng, streams, rows, 0.03 * 0.1, wins) * amounts(rng, (streams, rows)) / AMOUNT_CAP


def signs(rng: Generator, streams: int, rows: int, points: float) -> NDArray[np.float64]:
    """One row in ten is decided differently and wins or loses 1; `points` in a hundred rows more are won."""
    return _sparse(rng, streams, rows, 0.1, 0.5 + points / 100 / 0.1 / 2)


def pennies(rng: Generator, streams: int, rows: int) -> NDArray[np.float64]:
    """Tiny wins on every row, and a rare loss that takes them all. Bound: the loss."""
    lost = rng.random((streams, rows)) < 1 / (PENNY_LOSS + 1)
    return np.where(lost, -PENNY_LOSS, 1.0) / PENNY_LOSS


def weekly(rng: Generator, streams: int, weeks: int, units_a_day: int) -> NDArray[np.float64]:
    """Units that win on five days and lose as much on two: nothing over a week.

    float64 [streams, days, units].
    """
    by_day = np.array([0.2, 0.2, 0.2, 0.2, 0.2, -0.5, -0.5])
    wins = (1 + np.tile(by_day, weeks)[None, :, None]) / 2
    drawn = rng.random((streams, 7 * weeks, units_a_day)) < wins
    return np.where(drawn, 1.0, -1.0) * (rng.random(drawn.shape) < _DIFFERS)


def clustered(rng: Generator, streams: int, clusters: int, rows: int) -> NDArray[np.float64]:
    """An entity's rows win or lose together: one sign an entity, one row in five otherwise.

    float64 [streams, clusters, rows].
    """
    shared = rng.choice(np.array([-1.0, 1.0]), (streams, clusters, 1))
    return np.where(rng.random((streams, clusters, rows)) < _APART, -shared, shared)


def bursts(rng: Generator, streams: int, rows: int, share: float, length: int) -> NDArray[np.bool_]:
    """Slow rows, `length` at a time on average, a share of all in the long run. bool [streams, rows].

    A two-state chain: slow stretches end with chance 1 / length after each row.
    """
    ends = 1 / length
    begins = ends * share / (1 - share)
    slow = np.empty((streams, rows), bool)
    now = rng.random(streams) < share
    for row in range(rows):
        slow[:, row] = now
        chance = rng.random(streams)
        now = np.where(now, chance >= ends, chance < begins)
    return slow


def _sparse(rng: Generator, streams: int, rows: int, differ: float, wins: float) -> NDArray[np.float64]:
    changed = rng.random((streams, rows)) < differ
    won = rng.random((streams, rows)) < wins
    return np.where(changed, np.where(won, 1.0, -1.0), 0.0)
