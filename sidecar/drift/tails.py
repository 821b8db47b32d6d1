"""Tails of distributions, all on one scale: `z`, how many standard deviations out a normal value would be."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FARTHEST = 38.0  # beyond, a double is zero
_FEW = 50.0  # events expected: above, the normal law is near enough
_NEAR = 2.0  # z below which nobody is woken, however exact it is
_NEGLIGIBLE = 1e-12


def normal_z(tail: float) -> float:
    """The z beyond which a part `tail` (at most 1) of the normal distribution lies.

    >>> round(normal_z(0.025), 3)
    1.96
    """
    return min(_FARTHEST, -NormalDist().inv_cdf(tail)) if tail > 0 else _FARTHEST


def chi_square_z(statistic: NDArray[np.float64], freedom: NDArray[np.float64]) -> NDArray[np.float64]:
    """The z of chi-square statistics, by the cube root of Wilson and Hilferty (1931).

    Errs to the safe side far out: a statistic with tail 1e-4 becomes a z between 3.59 (1 degree of freedom)
    and 3.70 (20 degrees) instead of 3.72. freedom below 1 gives 0.

    >>> chi_square_z(np.array([52.386]), np.array([20.0])).round(2)
    array([3.7])
    """
    freedom = np.asarray(freedom, np.float64)
    known = np.maximum(freedom, 1.0)
    wide = 2.0 / (9.0 * known)
    z = (np.cbrt(np.maximum(statistic, 0.0) / known) - (1.0 - wide)) / np.sqrt(wide)
    return np.where(freedom >= 1, np.minimum(z, _FARTHEST), 0.0)


def share_z(
    events: NDArray[np.int64],
    rows: NDArray[np.int64],
    other_events: NDArray[np.int64],
    other_rows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """How far the first of two shares lies above the second (below: negative), as a z; 0 without rows.

    Score test of two proportions; where few events are expected, the exact tail of the first count given both
    together, which is binomial (Przyborowski and Wilenski, 1940).

    >>> rows, other_rows = np.array([500, 1000]), np.array([100_000, 10_000])
    >>> share_z(np.array([3, 80]), rows, np.array([0, 500]), other_rows).round(2)
    array([5.16, 4.05])
    """
    together, all_rows = events + other_events, np.maximum(rows + other_rows, 1)
    part = rows / all_rows
    expected = together * part
    variance = expected * (1 - part) * (1 - together / all_rows)
    tiny = np.finfo(np.float64).tiny
    z = np.where(variance > 0, (events - expected) / np.sqrt(np.maximum(variance, tiny)), 0.0)
    for place in np.flatnonzero((np.abs(z) >= _NEAR) & (expected <= _FEW)).tolist():
        up = bool(z[place] > 0)
        tail = _binomial_tail(int(events[place]), int(together[place]), float(part[place]), up=up)
        z[place] = normal_z(tail) if up else -normal_z(tail)
    return np.clip(z, -_FARTHEST, _FARTHEST)


def _binomial_tail(events: int, draws: int, part: float, *, up: bool) -> float:
    """The chance of so many events or more; of so many or fewer, if not `up`."""
    step = 1 if up else -1
    term = math.exp(
        math.lgamma(draws + 1)
        - math.lgamma(events + 1)
        - math.lgamma(draws - events + 1)
        + events * math.log(part)
        + (draws - events) * math.log1p(-part)
    )
    total, at = 0.0, events
    while 0 <= at <= draws and term > _NEGLIGIBLE * total:
        total += term
        odds = part / (1 - part)
        term *= (draws - at) / (at + 1) * odds if up else at / (draws - at + 1) / odds
        at += step
    return min(total, 1.0)
