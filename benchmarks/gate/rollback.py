"""After a promotion: how soon a decline is seen, and how often one is seen where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gate.procedures import ERROR, rows_until
from benchmarks.gate.streams import fraud_null, pennies, signs, weekly
from trainer.betting import log_e_value, restarted_capital

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

SEED = 20_130_401
STREAMS = 500
DAY = 1_000
"""Rows of a day; the bets are read at its end."""
DAYS = 90
"""Of the probation."""
CHANGE = 50_000
"""Rows after the promotion, when the decline begins."""
BAR = 5_000
_CYCLE = 7
_T95 = 1.943
"""Student's t with six degrees of freedom, 5 %, one-sided."""
_UNITS_A_DAY = 20


def after_promotion() -> dict[str, Any]:
    """Declines of two points at 10 % discordant rows, and streams without any."""
    return {
        "streams": STREAMS,
        "day": DAY,
        "days": DAYS,
        "change": CHANGE,
        "bar": BAR,
        "declines": [
            _decline(number, before, drop)
            for number, (before, drop) in enumerate([(0.0, 2.0), (1.0, 2.0), (1.0, 3.0), (0.0, 4.0)])
        ],
        "nulls": [_null(number, name, draw) for number, (name, draw) in enumerate(_NULLS)],
        "seasonal": _seasonal(),
    }


def _decline(number: int, before: float, drop: float) -> dict[str, Any]:
    """The new champion is `before` points better at first, and loses `drop` points of that at the change."""
    rng = np.random.default_rng([SEED, number])
    rows = DAY * DAYS
    delays, early = [], 0
    for _ in range(STREAMS):
        champion = np.concatenate(
            [signs(rng, 1, CHANGE, before)[0], signs(rng, 1, rows - CHANGE, before - drop)[0]]
        )
        seen = _alarm(-champion, _days(rows))
        if seen is not None and seen <= CHANGE:
            early += 1
        else:
            delays.append(rows if seen is None else seen - CHANGE)
    return {
        "before": before,
        "drop": drop,
        "early": early / STREAMS,
        "half": rows_until(np.array(delays), 0.5),
        "most": rows_until(np.array(delays), 0.8),
        "never": sum(one == rows for one in delays) / len(delays),
    }


def _null(
    number: int, name: str, draw: Callable[[Generator, int, int], NDArray[np.float64]]
) -> dict[str, Any]:
    """The two are equal: how often the former one returns, and how often a usual rule says so."""
    rng = np.random.default_rng([SEED, 100 + number])
    alarms = control = 0
    for _ in range(STREAMS):
        units = draw(rng, 1, DAY * DAYS)[0]
        alarms += _alarm(units, _days(len(units))) is not None
        control += _mean_alarm(units)
    return {"null": name, "alarms": alarms / STREAMS, "control": control / STREAMS}


_NULLS: list[tuple[str, Callable[[Generator, int, int], NDArray[np.float64]]]] = [
    ("heavy-tailed amounts", fraud_null),
    ("+-1, one row in ten differs", lambda rng, streams, rows: signs(rng, streams, rows, 0.0)),
    ("pennies, and one row in a thousand loses 999", pennies),
]


def _mean_alarm(units: NDArray[np.float64]) -> bool:
    """A usual rule: a t-test on the last seven days says so at the end of some day."""
    days = units.reshape(DAYS, DAY).sum(axis=1)
    weeks = np.lib.stride_tricks.sliding_window_view(days, _CYCLE)
    t = weeks.mean(axis=1) / np.maximum(weeks.std(axis=1, ddof=1) / np.sqrt(_CYCLE), 1e-300)
    return bool((t > _T95).any())


def _seasonal() -> dict[str, Any]:
    """What wins on weekdays and loses as much on weekends: read every day, and at the end of every week."""
    weeks = DAYS // _CYCLE
    streams = weekly(np.random.default_rng([SEED, 200]), STREAMS, weeks, _UNITS_A_DAY)
    alarms = {}
    for every in (1, _CYCLE):
        ends = list(range(every * _UNITS_A_DAY, weeks * _CYCLE * _UNITS_A_DAY + 1, every * _UNITS_A_DAY))
        found = (_alarm(stream.reshape(-1), ends) is not None for stream in streams)
        alarms[every] = sum(found) / STREAMS
    return {"weeks": weeks, "daily": alarms[1], "weekly": alarms[_CYCLE]}


def _days(rows: int) -> list[int]:
    return list(range(DAY, rows + 1, DAY))


def _alarm(units: NDArray[np.float64], ends: list[int]) -> int | None:
    """After how many units the former champion is called back; None if never."""
    capital = restarted_capital(units, ends, len(ends))
    seen = (end for end, one in zip(ends, capital, strict=True) if log_e_value(one) >= -np.log(ERROR))
    return next(seen, None)
