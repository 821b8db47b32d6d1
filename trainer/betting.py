"""The test that decides: a bettor against "the mean is at most zero", who cannot be talked into winning.

The bettor starts with 1 and stakes a constant share g of it on every unit x >= -1, so that it has the product
of 1 + g * x. Five shares play side by side, because nobody knows the best one beforehand; their mean is the
e-value. If no unit's expectation, given what came before it, is above zero, the e-value reaches 1 / error
with a chance of at most `error`, however often and whenever one looks (Ville's inequality; Waudby-Smith and
Ramdas, "Estimating means of bounded random variables by betting", JRSS-B 2024). Because the shares are
constant it holds also where expectations come and go, at every moment at which their average so far is not
above zero (Choe and Ramdas, "Comparing sequential forecasters", arXiv 2110.00115; here by the inequality of
means).

What it needs: x >= -1 for certain, and units whose expectation given the past is what is asked about.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BETS = (0.05, 0.12, 0.3, 0.6, 0.95)
_DIGITS = 9
"""Logarithms are kept to so many decimals, so that another machine's last bit does not change a digest."""
_MOST_LOG = 700.0


def log_capital(units: NDArray[np.float64]) -> tuple[float, ...]:
    """What each bettor has after these units, as natural logarithms, in the order of `BETS`.

    units: float64 [n], each at least -1. Raises ValueError for one below.

    >>> log_capital(np.array([0.5, -0.2]))
    (0.014642277, 0.033976216, 0.077886539, 0.134530893, 0.177936958)
    """
    return capital_at(units, [len(units)])[0]


def capital_at(units: NDArray[np.float64], ends: Sequence[int]) -> list[tuple[float, ...]]:
    """What each bettor has after the first `end` units, for each of the rising `ends`; as `log_capital`."""
    if len(units) and units.min() < -1:
        raise ValueError(f"a unit is {units.min():g}; the bound it was divided by does not hold")
    parts: list[list[float]] = [[] for _ in BETS]
    found = []
    for begin, end in itertools.pairwise([0, *ends]):
        for bet, part in zip(BETS, parts, strict=True):
            part.append(math.fsum(np.log1p(bet * units[begin:end])))
        found.append(tuple(round(math.fsum(part), _DIGITS) for part in parts))
    return found


def restarted_capital(
    units: NDArray[np.float64], ends: Sequence[int], stretches: int
) -> list[tuple[float, ...]]:
    """What bettors have who stake one part of their money anew at the beginning of each stretch.

    A change may begin at any time, and bets that were lost before it would hide it. So of the money that
    each of the five has, one part in `stretches` is put to work at the beginning of each stretch and stays at
    work; what waits is kept. The mean of the five is an e-value as before, over all stretches together,
    because each part is one, whenever it begins. (The sum over beginnings is that of Shiryaev and Roberts; as
    e-detectors see Shin, Ramdas and Rinaldo, arXiv 2203.03532.)

    units: float64 [n], each at least -1. ends: rising, the end of each stretch; at most `stretches` of them.
    Returns natural logarithms at each end, in the order of `BETS`. Raises ValueError for a unit below -1 or
    too many stretches.

    >>> restarted_capital(np.array([0.5, -0.2]), [1, 2], 2)[-1]
    (0.002372184, 0.00526611, 0.010445258, 0.011928571, 0.002372184)
    """
    if len(ends) > stretches:
        raise ValueError(f"{len(ends)} stretches, where {stretches} were provided for")
    growth = np.diff(np.array([(0.0,) * len(BETS), *capital_at(units, ends)]), axis=0)
    working = np.full(len(BETS), -math.inf)
    found = []
    for begun, gained in enumerate(growth, 1):
        working = np.logaddexp(working, -math.log(stretches)) + gained
        waits = 1 - begun / stretches
        total = np.logaddexp(working, math.log(waits)) if waits > 0 else working
        found.append(tuple(np.round(total, _DIGITS).tolist()))
    return found


def log_e_value(capital: Sequence[float]) -> float:
    """The natural logarithm of the e-value: of the mean of what the bettors have.

    >>> round(math.exp(log_e_value(log_capital(np.array([0.5, -0.2])))), 6)
    1.093812
    >>> log_e_value(log_capital(np.array([])))
    0.0
    """
    top = max(capital)
    return top + math.log(math.fsum(math.exp(one - top) for one in capital) / len(capital))


def e_value(capital: Sequence[float]) -> float:
    """The e-value; very large ones are cut, so that it is always finite."""
    return math.exp(min(log_e_value(capital), _MOST_LOG))


def periods_until(capital: Sequence[float], periods: int, wanted: float, most: int) -> int | None:
    """How many periods in all would take the e-value to `wanted`, if each went as those so far on average.

    None when more than `most` would be needed, or none do.
    """
    if periods < 1:
        return None
    rates = [one / periods for one in capital]
    for count in range(1, most + 1):
        if log_e_value([rate * count for rate in rates]) >= math.log(wanted):
            return count
    return None


def capital_paths(units: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of the e-value after each unit, for many streams at once.

    units: float64 [streams, n], each at least -1. Returns float64 [streams, n].
    """
    paths = np.stack([np.cumsum(np.log1p(bet * units), axis=-1) for bet in BETS])
    top = paths.max(axis=0)
    return np.asarray(top + np.log(np.exp(paths - top).mean(axis=0)))
