"""Tries the settings of a recipe's search on rows from before the hold-out, and chooses by money.

    rows that had matured ─▶ fit ─▶ score the next stretch ─▶ its rule, its money
    ├──────────────────────────────┤├── stretch ──┤  ┆├── hold-out, which no try sees ──┤

A stretch is as long as the hold-out, and a setting is measured on it as a recipe is measured there: fitted on
what was known when it began, through the exported graph, and where the task has the `Threshold` rule with one
that was chosen on the stretch's earlier half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer.errors import ExportError
from trainer.figures import DayRows, Judged
from trainer.interval import PER
from trainer.learn import prepare
from trainer.offline import CONFIDENCE, choose_rule, divide, judge, measure, plain, run_pipeline
from trainer.search import with_setting, words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trainer.interval import Interval
    from trainer.learn import Lesson
    from trainer.offline import Measured
    from trainer.search import Setting
    from trainer.snapshot import Snapshot
    from trainer.task import Task, Transform

SEED_DIGITS = 8
"""Hexadecimal digits of the snapshot's digest that draw settings, as many as NumPy's seed takes."""


@dataclass(frozen=True)
class Try:
    """One setting on the stretches. bytes: of its pipeline.onnx, as fitted before the newest.

    behind: what the chosen setting earns more per 1,000 decisions, row by row. The chosen one is the best of
    several on these rows, so its lead is larger here than it will be.
    """

    setting: Setting
    measured: Measured
    bytes: int
    behind: Interval


@dataclass(frozen=True)
class Searched:
    """All that was tried, in order. chosen, by_accuracy, by_auc: places in `tries`."""

    tries: tuple[Try, ...]
    chosen: int
    by_accuracy: int
    by_auc: int
    stretches: int

    @property
    def setting(self) -> Setting:
        """The chosen one."""
        return self.tries[self.chosen].setting

    def to_json(self) -> dict[str, Any]:
        """What the manifest says."""
        return {
            "chosen": self.chosen,
            "by": "utility_per_1000",
            "stretches": self.stretches,
            "rows": self.tries[self.chosen].measured.rows,
            "tried": [
                {
                    "setting": {name: plain(value) for name, value in one.setting.items()},
                    "utility_per_1000": plain(one.measured.utility_per_1000),
                    "accuracy": plain(one.measured.accuracy),
                    "auc": plain(one.measured.auc),
                    "bytes": one.bytes,
                }
                for one in self.tries
            ],
        }


def search(
    task: Task, recipe: str, known: Snapshot, progress: Callable[[str], None] = lambda _: None
) -> Searched | None:
    """Try every setting of the recipe's search; None where it has none.

    known: the rows that had matured when the hold-out began; no other is looked at. What is drawn follows
    from the snapshot's digest.
    Raises ExportError naming the setting that cannot be fitted or exported, or when the rows are too few.
    """
    candidate = task.candidates[recipe]
    if candidate.search is None:
        return None
    settings = candidate.search.settings(int(known.digest[:SEED_DIGITS], 16))
    judged: list[list[Judged]] = [[] for _ in settings]
    sizes = [0] * len(settings)
    past = known
    for count in range(candidate.search.stretches):
        stretch = _Stretch.of(task, candidate.transform, past)
        for place, setting in enumerate(settings):
            progress(f"{recipe}: try {place + 1} of {len(settings)}, stretch {count + 1}: {words(setting)}")
            try:
                rows, size = stretch.measure(with_setting(candidate.estimator(), setting))
            except ExportError as error:
                raise ExportError(f"search: with {words(setting)}: {error}") from error
            judged[place].append(rows)
            sizes[place] = sizes[place] or size
        past = stretch.before
    return compare(
        settings, [Judged.concat(parts) for parts in judged], sizes, stretches=candidate.search.stretches
    )


def compare(
    settings: Sequence[Setting], judged: Sequence[Judged], sizes: Sequence[int], *, stretches: int
) -> Searched:
    """Choose the setting that earned most on the same rows; of equals the one tried first."""
    measured = [measure(rows) for rows in judged]
    chosen = _first_highest([one.utility_per_1000 for one in measured])
    best = judged[chosen]
    days = DayRows.of(best.event_ns, best.weight)
    tries = tuple(
        Try(setting, figures, size, days.mean(best.money - rows.money, CONFIDENCE, per=PER))
        for setting, figures, size, rows in zip(settings, measured, sizes, judged, strict=True)
    )
    return Searched(
        tries,
        chosen,
        by_accuracy=_first_highest([one.accuracy for one in measured]),
        by_auc=_first_highest([one.auc for one in measured]),  # all or none is NaN: they have the same labels
        stretches=stretches,
    )


@dataclass(frozen=True, eq=False)
class _Stretch:
    """The newest rows of `past`, from `begins` on, and what had matured `before` they began."""

    task: Task
    past: Snapshot
    begins: int
    before: Snapshot
    lesson: Lesson

    @classmethod
    def of(cls, task: Task, transform: Transform, past: Snapshot) -> _Stretch:
        rows, begins = divide(task, past)
        before = past.oldest(rows)
        return cls(task, past, begins, before, prepare(task, transform, before))

    def measure(self, estimator: Any) -> tuple[Judged, int]:
        """What it would have earned on the stretch, and the bytes of its pipeline."""
        learned = self.lesson.fit(estimator)
        rule, measured_from = choose_rule(self.task, learned.pipeline, self.past, self.begins)
        pipeline = learned.pipeline(rule)
        scored = run_pipeline(pipeline, self.past.blocks.take(slice(measured_from, None)))
        return judge(self.task, self.past, scored), len(pipeline)


def _first_highest(figures: Sequence[float]) -> int:
    return max(range(len(figures)), key=figures.__getitem__)
