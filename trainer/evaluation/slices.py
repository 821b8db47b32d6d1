"""Where in the traffic a version does worse: the same figures for each value of a field.

Many slices are looked at, so the p-values of all of them together are adjusted (Holm).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sidecar.signature import Kind
from trainer.figures import DayRows
from trainer.interval import PER, Interval, holm, p_of_zero

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from trainer.evaluation.run import Run
    from trainer.join import JoinedRows
    from trainer.task import Task

LEAST_ROWS = 500
"""Slices with fewer labelled rows are not judged."""


@dataclass(frozen=True)
class SliceFigures:
    """One version on the labelled rows whose `field` has `value`.

    gain_per_1000: over the champion on the same rows; None for the champion itself. gap: mean score less
    label rate. gain_p, gap_p: p-values of no gain and no gap, adjusted for all slices and versions looked at.
    """

    field: str
    value: str
    rows: int
    days: int
    labelled_share: float
    utility_per_1000: Interval
    label_rate: Interval
    gap: Interval
    gap_p: float
    gain_per_1000: Interval | None
    gain_p: float | None


def slices_of(
    task: Task, one: Run, champion: Run | None, rows: JoinedRows, confidence: float
) -> list[SliceFigures]:
    """One version on every slice with enough rows. The p-values are not adjusted yet.

    champion: on the same rows; None for none to compare with.
    """
    counted = one.counted(rows)
    if champion is not None:
        counted = counted & champion.counted(rows)
    difference = one.scored.score.astype(np.float64) - rows.label
    found = []
    for part in _parts(task, rows, counted):
        inside = part.rows[counted[part.rows]]
        shown = part.rows[(one.unseen & ~rows.hidden)[part.rows]]
        days = DayRows.of(rows.event_ns[inside], rows.weight[inside])
        gap, gain = days.mean(difference[inside], confidence), None
        if champion is not None:
            gain = days.mean(one.money[inside] - champion.money[inside], confidence, per=PER)
        found.append(
            SliceFigures(
                field=part.field,
                value=part.value,
                rows=len(inside),
                days=days.days,
                labelled_share=float(rows.labelled[shown].mean()),
                utility_per_1000=days.mean(one.money[inside], confidence, per=PER),
                label_rate=days.mean(rows.label[inside], confidence),
                gap=gap,
                gap_p=p_of_zero(gap),
                gain_per_1000=gain,
                gain_p=None if gain is None else p_of_zero(gain),
            )
        )
    return found


def adjust(slices: Sequence[Sequence[SliceFigures]]) -> list[tuple[SliceFigures, ...]]:
    """The slices of each version with p-values that may be compared with the level for all of them."""
    every = [one for version in slices for one in version]
    gaps = iter(holm([one.gap_p for one in every]))
    gains = iter(holm([one.gain_p for one in every if one.gain_p is not None]))
    return [
        tuple(
            replace(one, gap_p=next(gaps), gain_p=None if one.gain_p is None else next(gains))
            for one in version
        )
        for version in slices
    ]


@dataclass(frozen=True, eq=False)
class _Part:
    field: str
    value: str
    rows: NDArray[np.int64]


def _parts(task: Task, rows: JoinedRows, counted: NDArray[np.bool_]) -> Iterator[_Part]:
    """Every slice by one of the task's fields with at least LEAST_ROWS rows that count."""
    signature, blocks = task.signature, rows.blocks
    for name in task.slice_fields:
        text = signature.by_name[name].kind is Kind.TEXT
        fields = signature.texts if text else signature.integers
        column = [field.name for field in fields].index(name)
        values, place = np.unique((blocks.texts if text else blocks.integers)[:, column], return_inverse=True)
        enough = np.bincount(place[counted], minlength=len(values)) >= LEAST_ROWS
        for number in np.flatnonzero(enough).tolist():
            yield _Part(name, str(values[number]) or "missing", np.flatnonzero(place == number))
