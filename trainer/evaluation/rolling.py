"""Versions over time: the same figures period by period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.days import DAY_NS
from trainer.evaluation.periods import By, split
from trainer.evaluation.run import figures_of, run
from trainer.figures import DayRows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer.evaluation.run import Entrant
    from trainer.figures import Figures
    from trainer.interval import Interval
    from trainer.join import JoinedRows
    from trainer.task import Task


@dataclass(frozen=True)
class PeriodReport:
    """One period. label_rate: of all rows with an outcome. figures: by version, None where none may be had.

    A version has figures of the period's days that are later than everything it was fitted on.
    """

    period: str
    days: int
    served: int
    labelled: int
    label_rate: Interval
    figures: Mapping[str, Figures | None]


def roll(task: Task, entrants: Sequence[Entrant], rows: JoinedRows, by: By) -> list[PeriodReport]:
    """Each period that has rows, in order."""
    confidence = 1 - task.policy.error
    runs = [run(task, entrant, rows) for entrant in entrants]
    reports = []
    for period, inside in split(rows.event_ns, by):
        labelled = rows.labelled[inside]
        reports.append(
            PeriodReport(
                period=period.name,
                days=len(np.unique(rows.event_ns[inside] // DAY_NS)),
                served=len(labelled),
                labelled=int(labelled.sum()),
                label_rate=DayRows.of(rows.event_ns[inside][labelled], rows.weight[inside][labelled]).mean(
                    rows.label[inside][labelled], confidence
                ),
                figures={one.entrant.name: figures_of(one, rows, inside, confidence) for one in runs},
            )
        )
    return reports
