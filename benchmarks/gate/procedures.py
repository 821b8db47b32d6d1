"""How streams are read: as the gate does, and as is often done instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.betting import capital_paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ERROR = 0.05
DRAWN = 20
"""Streams drawn at once, where delays are measured."""
_STREAMS = 200
_LOOK_FROM = 100
_Z95 = 1.6448536269514722


def passed(units: NDArray[np.float64], every: int = 1, error: float = ERROR) -> NDArray[np.bool_]:
    """Which streams the bets pass at some look, one after each `every` units. units: float64 [streams, n]."""
    return np.asarray((capital_paths(units)[:, every - 1 :: every] >= -np.log(error)).any(axis=1))


def passed_at(units: NDArray[np.float64], error: float = ERROR) -> NDArray[np.int64]:
    """After how many units each stream passes; one more than there are for those that do not."""
    reached = capital_paths(units) >= -np.log(error)
    first = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, units.shape[1] + 1)
    return np.asarray(first, np.int64)


def passed_by_t(rows: NDArray[np.float64], every: int = 1, least: int = _LOOK_FROM) -> NDArray[np.bool_]:
    """Which streams a one-sided t-test at 5 % passes at some look, from `least` rows on: a usual mistake."""
    count = np.arange(1, rows.shape[1] + 1)
    mean = np.cumsum(rows, axis=1) / count
    variance = np.maximum(np.cumsum(rows**2, axis=1) / count - mean**2, 1e-300)
    above = mean * np.sqrt(count) > _Z95 * np.sqrt(variance)
    looks = np.arange(every - 1, rows.shape[1], every)
    return np.asarray(above[:, looks[looks >= least - 1]].any(axis=1))


def rows_until(found: NDArray[np.int64], share: float) -> float:
    """How many units until this share of the streams has passed."""
    return float(np.quantile(found, share, method="inverted_cdf"))


def delays(draw: Callable[[], NDArray[np.float64]], rows: int, error: float = ERROR) -> dict[str, Any]:
    """How many rows half of the streams take to pass, and 80 % of them.

    draw: units of DRAWN streams, float64 [DRAWN, n], others each time; rows: of a unit.
    """
    found = np.concatenate([passed_at(draw(), error) for _ in range(_STREAMS // DRAWN)])
    return {"streams": _STREAMS, "half": rows_until(found, 0.5) * rows, "most": rows_until(found, 0.8) * rows}
