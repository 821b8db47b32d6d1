"""One version on all the rows, and which of them are fair to judge it by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.days import DAY_NS, day_start
from trainer.evaluation.rescore import Rescored, rescore
from trainer.figures import Figures, Judged, measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.session import Model
    from trainer.join import JoinedRows
    from trainer.task import Task


@dataclass(frozen=True)
class Entrant:
    """A version that takes part: its name here, its state, its loaded model.

    may_know_until_ns: see `trainer.fitted_until`.
    """

    name: str
    state: str
    model: Model
    may_know_until_ns: int


@dataclass(frozen=True, eq=False)
class Run:
    """A version on all rows. unseen: bool [n], rows of days later than what it may know."""

    entrant: Entrant
    scored: Rescored
    unseen: NDArray[np.bool_]
    money: NDArray[np.float64]

    def counted(self, rows: JoinedRows) -> NDArray[np.bool_]:
        """Rows that its figures are of: unseen, with an outcome, with a value. bool [n]."""
        return self.unseen & rows.labelled & self.scored.valued


def run(task: Task, entrant: Entrant, rows: JoinedRows) -> Run:
    """Score a version on the rows; money is NaN where it has no value or the row no outcome."""
    scored = rescore(entrant.model, rows.blocks)
    first_ns = day_start(entrant.may_know_until_ns) + DAY_NS
    money = np.full(len(rows), np.nan)
    known = np.flatnonzero(scored.valued & rows.labelled)
    money[known] = task.costs.utility(
        task.signature, rows.blocks.take(known), scored.decision[known], rows.label[known]
    )
    return Run(entrant, scored, rows.event_ns >= first_ns, money)


def figures_of(one: Run, rows: JoinedRows, inside: slice, confidence: float) -> Figures | None:
    """A version's figures on the rows `inside` that count for it; None without any."""
    chosen = inside.start + np.flatnonzero(one.counted(rows)[inside])
    if not len(chosen):
        return None
    judged = Judged(
        one.money[chosen],
        one.scored.score[chosen],
        one.scored.decision[chosen],
        rows.label[chosen],
        rows.event_ns[chosen],
        rows.weight[chosen],
    )
    return measure(judged, confidence)
