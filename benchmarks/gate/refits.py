"""A recipe that is fitted anew every four weeks: bets follow it from fit to fit, or begin with each fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gate.procedures import ERROR, rows_until
from benchmarks.gate.streams import signs
from trainer.betting import BETS, log_e_value, restarted_capital
from trainer.budget import ErrorShare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    Draw = Callable[[Generator, int], NDArray[np.float64]]

SEED = 20_130_701
STREAMS = 500
DAY, WEEK = 200, 7
FIT_WEEKS, FITS = 4, 13
DEADLINE_WEEKS = 13
BAD_AFTER = 3
"""Fits that earn, before one that loses."""
PROBATION_DAYS = 28
_NEVER = FITS * FIT_WEEKS + 1


class Weeks:
    """What one fit's weeks did to the bettors, who stake on every row.

    winning, losing: float64 [weeks, bets], growth of their logarithms. gain: float64 [weeks].
    """

    def __init__(self, units: NDArray[np.float64]) -> None:
        by_week = units.reshape(-1, WEEK * DAY)
        self.winning, self.losing = (
            np.stack([np.log1p(side * bet * by_week).sum(axis=1) for bet in BETS], axis=1) for side in (1, -1)
        )
        self.gain = by_week.sum(axis=1)


def recipes() -> dict[str, Any]:
    """Recipes without a gain, with a steady one, with one that each fit soon loses, and with one bad fit."""
    kinds = {
        "nothing": lambda rng, weeks: _points(rng, [0.0] * weeks),
        "one point": lambda rng, weeks: _points(rng, [1.0] * weeks),
        "half a point": lambda rng, weeks: _points(rng, [0.5] * weeks),
        "one point, lost after four weeks": lambda rng, weeks: _points(
            rng, ([1.0] * FIT_WEEKS + [0.0] * weeks)[:weeks]
        ),
    }
    return {
        "streams": STREAMS,
        "day": DAY,
        "fit_weeks": FIT_WEEKS,
        "weeks": FITS * FIT_WEEKS,
        "kinds": [{"kind": name, **_kind(number, draw)} for number, (name, draw) in enumerate(kinds.items())],
        "bad": [
            _bad(number, points, won=won)
            for won in (False, True)
            for number, points in enumerate((-0.5, -1.0, -2.0))
        ],
    }


def _points(rng: Generator, weeks: Sequence[float]) -> NDArray[np.float64]:
    """Rows of weeks in which so many of a hundred rows are won."""
    return np.concatenate([signs(rng, 1, WEEK * DAY, points)[0] for points in weeks])


def _kind(number: int, draw: Draw) -> dict[str, Any]:
    rng = np.random.default_rng([SEED, number])
    followed, alone, undivided = [], [], []
    for _ in range(STREAMS):
        fits = [Weeks(draw(rng, DEADLINE_WEEKS)) for _ in range(FITS)]
        followed.append(next(_promotions(fits), (_NEVER, 0))[0])
        alone.append(_alone(fits, lambda fit: ErrorShare(fit, fit + 1).wanted(ERROR)))
        undivided.append(_alone(fits, lambda _: 1 / ERROR))
    return {
        name: {
            "promoted": float(np.mean(np.array(weeks) < _NEVER)),
            "half": WEEK * rows_until(np.array(weeks), 0.5),
            "most": WEEK * rows_until(np.array(weeks), 0.8),
        }
        for name, weeks in (("followed", followed), ("alone", alone), ("undivided", undivided))
    }


def _promotions(fits: Sequence[Weeks], *, guarded: bool = True) -> Iterator[tuple[int, int]]:
    """The week and the number of the fit at each reading that would promote, as the gate reads a recipe.

    guarded: the fit itself must have earned, too. A recipe that is turned down begins anew with its next fit.
    """
    tried = 0
    winning, losing = np.zeros(len(BETS)), np.zeros(len(BETS))
    out = False
    for number, fit in enumerate(fits):
        if out:
            tried, out = tried + 1, False
            winning, losing = np.zeros(len(BETS)), np.zeros(len(BETS))
        own_losing, own_gain = np.zeros(len(BETS)), 0.0
        for week in range(FIT_WEEKS):
            winning, losing = winning + fit.winning[week], losing + fit.losing[week]
            own_losing, own_gain = own_losing + fit.losing[week], own_gain + float(fit.gain[week])
            out = out or max(map(log_e_value, (losing.tolist(), own_losing.tolist()))) >= -np.log(ERROR)
            earned = log_e_value(winning.tolist()) >= np.log(ErrorShare(tried, tried + 1).wanted(ERROR))
            if earned and not out and (own_gain > 0 or not guarded):
                yield number * FIT_WEEKS + week + 1, number


def _alone(fits: Sequence[Weeks], wanted: Callable[[int], float]) -> int:
    """The week in which the first fit is promoted by its own bets, each until its deadline."""
    found = [_NEVER]
    for number, fit in enumerate(fits):
        winning, losing = np.cumsum(fit.winning, axis=0), np.cumsum(fit.losing, axis=0)
        for week in range(DEADLINE_WEEKS):
            if log_e_value(losing[week].tolist()) >= -np.log(ERROR):
                break
            if log_e_value(winning[week].tolist()) >= np.log(wanted(number)):
                found.append(number * FIT_WEEKS + week + 1)
                break
    return min(found)


def _bad(number: int, points: float, *, won: bool) -> dict[str, Any]:
    """A recipe that earned one point, whose fourth fit loses: how often is that one promoted, and stays.

    won: the bets had won before it came, and something else held the promotion; otherwise they had not.
    """
    rng = np.random.default_rng([SEED, 100 + number, won])
    streams, promoted, unguarded, stays = 0, 0, 0, []
    while streams < STREAMS:
        good = [Weeks(_points(rng, [1.0] * FIT_WEEKS)) for _ in range(BAD_AFTER)]
        bad = Weeks(_points(rng, [points] * FIT_WEEKS))
        if won != any(week == BAD_AFTER * FIT_WEEKS for week, _ in _promotions(good)):
            continue
        streams += 1
        fits = [*good, bad]
        unguarded += any(fit == BAD_AFTER for _, fit in _promotions(fits, guarded=False))
        if any(fit == BAD_AFTER for _, fit in _promotions(fits)):
            promoted += 1
            stays.append(_days_until_back(rng, points))
    return {
        "points": points,
        "won": won,
        "promoted": promoted / streams,
        "unguarded": unguarded / streams,
        "back": sum(one <= PROBATION_DAYS for one in stays) / len(stays) if stays else None,
    }


def _days_until_back(rng: Generator, points: float) -> int:
    """After how many days the former champion returns; one more than the probation has where it does not."""
    units = -signs(rng, 1, PROBATION_DAYS * DAY, points)[0]
    ends = list(range(DAY, len(units) + 1, DAY))
    capital = restarted_capital(units, ends, PROBATION_DAYS)
    seen = (day for day, one in enumerate(capital, 1) if log_e_value(one) >= -np.log(ERROR))
    return next(seen, PROBATION_DAYS + 1)
