"""Who decides when: a sequence of models, the money that it earns, and one sequence beside another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.figures import DayRows
from trainer.interval import PER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from trainer.interval import Interval
    from trainer.offline import FitReport

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Reign:
    """From this moment on, until the next reign begins, this model decides. version: its name."""

    since_ns: int
    version: str


def reigning(reigns: Sequence[Reign], event_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which reign each row falls in, int64 [n]; reigns in order of time, the first before every row."""
    return np.searchsorted([one.since_ns for one in reigns], event_ns, side="right") - 1


def decisions_under(
    reigns: Sequence[Reign],
    event_ns: NDArray[np.int64],
    decide: Callable[[str, NDArray[np.int64]], NDArray[np.bool_]],
) -> NDArray[np.bool_]:
    """What is decided on each row, bool [n]. decide: what a version decides on the rows at given places."""
    reign = reigning(reigns, event_ns)
    decision = np.zeros(len(event_ns), np.bool_)
    for number, one in enumerate(reigns):
        rows = np.flatnonzero(reign == number)
        if len(rows):
            decision[rows] = decide(one.version, rows)
    return decision


def best_by(reports: Mapping[str, FitReport], figure: Callable[[FitReport], float]) -> str:
    """The recipe whose report has the greatest figure; of equals the one named first."""
    return max(reports, key=lambda recipe: figure(reports[recipe]))


def earned(money: NDArray[np.float64], event_ns: NDArray[np.int64]) -> Interval:
    """Money per 1,000 decisions, with whole UTC days as units. money: float64 [n], of each row."""
    return DayRows.of(event_ns, np.ones(len(event_ns))).mean(money, CONFIDENCE, per=PER)


def ahead(first: NDArray[np.float64], second: NDArray[np.float64], event_ns: NDArray[np.int64]) -> Interval:
    """How much the first earned more than the second on the same rows: paired, so that days cancel."""
    return earned(first - second, event_ns)
