"""How a pipeline does on the hold-out of a snapshot: its decision rule chosen, its figures measured.

The hold-out is the snapshot's last `task.holdout`, and no model that is measured on it was fitted on it. With
the `Threshold` rule its earlier half chooses the threshold, and the figures are of the later half.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.session import DECISION, SCORE, feed, open_session
from trainer.days import nanoseconds
from trainer.decision import UtilityRule, choose_threshold
from trainer.errors import ExportError
from trainer.figures import Judged
from trainer.figures import measure as figures_of
from trainer.task import Threshold

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sidecar.signature import Blocks
    from trainer.export import Rule
    from trainer.snapshot import Snapshot
    from trainer.task import Task

CONFIDENCE = 0.95
"""Of the interval on the hold-out's money, which whole days are the units of."""


@dataclass(frozen=True)
class Measured:
    """The figures of the hold-out that repeat exactly; they go into the manifest.

    rows: of the hold-out that the figures are from. accuracy: of score >= 0.5. auc is NaN when all labels are
    equal. brier, ece: see `trainer.figures.Calibration`. acted: the share of rows with a positive decision.
    utility_per_1000: money per 1,000 decisions, with the bounds of its interval.
    """

    rows: int
    accuracy: float
    auc: float
    log_loss: float
    brier: float
    ece: float
    acted: float
    utility_per_1000: float
    utility_lower: float
    utility_upper: float


@dataclass(frozen=True)
class Timed:
    """What the shipped pipeline costs to run; these figures never repeat exactly.

    cpu_us_p50, cpu_us_p99: CPU microseconds of one row through it. bytes: of pipeline.onnx.
    """

    cpu_us_p50: float
    cpu_us_p99: float
    bytes: int


@dataclass(frozen=True)
class FitReport(Timed, Measured):
    """How a model did on the hold-out, and what its pipeline costs to run."""

    @classmethod
    def of(cls, measured: Measured, timed: Timed) -> FitReport:
        """Both together."""
        return cls(**asdict(measured), **asdict(timed))


@dataclass(frozen=True, eq=False)
class Scored:
    """What a pipeline made of m rows: score float32 [m], decision bool [m]."""

    score: NDArray[np.float32]
    decision: NDArray[np.bool_]


def holdout_begins(task: Task, snapshot: Snapshot) -> int:
    """The moment after which the snapshot's rows are its hold-out."""
    return int(snapshot.event_ns[-1]) - nanoseconds(task.holdout)


def divide(task: Task, snapshot: Snapshot) -> tuple[int, int]:
    """How many rows had matured when the hold-out began, and the first row of the hold-out.

    Raises ExportError when none had.
    """
    split_ns = holdout_begins(task, snapshot)
    matured_ns = split_ns - nanoseconds(task.maturity)
    known, split = np.searchsorted(snapshot.event_ns, [matured_ns, split_ns], side="right").tolist()
    if not known:
        raise ExportError(
            f"the snapshot has no row that had matured before its hold-out of {task.holdout}; "
            "take a longer one"
        )
    return known, split


def choose_rule(
    task: Task, export: Callable[[Rule], bytes], snapshot: Snapshot, split: int
) -> tuple[Rule, int]:
    """The task's rule, and the first row that had no part in choosing it.

    export: gives the pipeline with a rule. split: the first row of the hold-out.
    Raises ExportError when there are too few rows to choose a threshold.
    """
    rule: Rule = UtilityRule(task.signature, task.costs)
    if not isinstance(task.decision, Threshold):
        return rule, split
    measured_from = (split + len(snapshot.label)) // 2
    if measured_from == split:
        raise ExportError("the hold-out has too few rows to choose a threshold; make it longer")
    choosing = snapshot.blocks.take(slice(split, measured_from))
    score = run_pipeline(export(rule), choosing).score
    label = snapshot.label[split:measured_from]
    rule = choose_threshold(
        task.signature, task.costs, choosing, label, score, weight=snapshot.weight[split:measured_from]
    )
    return rule, measured_from


def run_pipeline(pipeline: bytes, blocks: Blocks) -> Scored:
    """What a pipeline makes of rows."""
    score, decision = open_session(pipeline).run([SCORE, DECISION], feed(blocks))
    return Scored(score, decision)


def judge(task: Task, snapshot: Snapshot, held_out: Scored) -> Judged:
    """What the newest rows of the snapshot, which `held_out` is of, would have earned."""
    rows = slice(len(snapshot.label) - len(held_out.score), None)
    blocks, label = snapshot.blocks.take(rows), snapshot.label[rows]
    money = task.costs.utility(task.signature, blocks, held_out.decision, label)
    return Judged(
        money, held_out.score, held_out.decision, label, snapshot.event_ns[rows], snapshot.weight[rows]
    )


def measure(judged: Judged) -> Measured:
    """The figures of rows that were held out."""
    figures = figures_of(judged, CONFIDENCE)
    return Measured(
        rows=figures.rows,
        accuracy=figures.accuracy.estimate,
        auc=figures.auc.estimate if figures.auc else float("nan"),
        log_loss=figures.log_loss.estimate,
        brier=figures.calibration.brier.estimate,
        ece=figures.calibration.ece,
        acted=figures.act_rate.estimate,
        utility_per_1000=figures.utility_per_1000.estimate,
        utility_lower=figures.utility_per_1000.lower,
        utility_upper=figures.utility_per_1000.upper,
    )


def plain(value: Any) -> Any:
    """The value itself where JSON can say it, NaN as null, anything else as its repr."""
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else repr(value)
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)
