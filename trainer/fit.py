"""From a snapshot and a recipe to a bundle."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from sidecar.bundle import EXPLORATION, PIPELINE, REFERENCE, TRANSFORM, Bundle, write_bundle
from sidecar.session import DECISION, SCORE, feed, load_model, open_session
from trainer.crossfit import training_features
from trainer.days import nanoseconds
from trainer.decision import UtilityRule, choose_threshold
from trainer.errors import ExportError
from trainer.export import export_model, export_pipeline, export_transform
from trainer.figures import Judged, measure
from trainer.importance import importance_of
from trainer.parity import check_parity
from trainer.reference import make_reference
from trainer.seed import seed
from trainer.task import Threshold
from trainer.timing import time_single_rows
from trainer.transform import FittedTransform, fit_transform

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from sidecar.signature import Blocks
    from trainer.export import Rule
    from trainer.snapshot import Snapshot
    from trainer.task import Candidate, Task

FIT_THREADS = 1
"""OpenMP threads of a fit. HistGradientBoosting slows down manifold when its threads wait for busy cores."""
TIMED_RUNS = 2000
CONFIDENCE = 0.95
"""Of the interval on the hold-out's money, which whole days are the units of."""
_LIBRARIES = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy", "scipy")


@dataclass(frozen=True)
class _Measured:
    """The figures of the hold-out that repeat exactly; they go into the manifest."""

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
class FitReport(_Measured):
    """How the recipe did on the hold-out, and what the shipped model costs to run.

    rows: of the hold-out that the figures are from. accuracy: of score >= 0.5. auc is NaN when all labels are
    equal. brier, ece: see `trainer.figures.Calibration`. acted: the share of rows with a positive decision.
    utility_per_1000: money per 1,000 decisions, with the bounds of its interval.
    cpu_us_p50, cpu_us_p99: CPU microseconds of one row through the shipped pipeline. bytes: of pipeline.onnx.
    """

    cpu_us_p50: float
    cpu_us_p99: float
    bytes: int


@dataclass(frozen=True)
class Fitted:
    """A bundle and how it did."""

    bundle: Bundle
    report: FitReport


def fit_candidate(
    task: Task,
    recipe: str,
    snapshot: Snapshot,
    *,
    bundles: Path,
    version: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Fitted:
    """Make a bundle of `recipe` from `snapshot` below `bundles`.

    The recipe is fitted twice. First on the rows that had matured when the last `task.holdout` began: the
    hold-out's figures are of that fit, through its exported graph. Then on all rows, and that is what ships;
    so the figures are of the recipe, not of the very model. With the `Threshold` rule the earlier half of the
    hold-out chooses the threshold, and the figures are of the later half.

    The same snapshot, recipe and libraries give the same bundle. version: by default the recipe's name and
    the snapshot's digest. progress: told each stage as it begins.
    Raises ExportError when the recipe cannot be fitted or exported exactly, or the snapshot has too few rows.
    """
    if recipe not in task.candidates:
        raise ExportError(f"no candidate '{recipe}'; the task has {', '.join(task.candidates)}")
    if snapshot.signature.digest != task.signature.digest:
        raise ExportError("the snapshot has another signature than the task; take a new snapshot")
    candidate = task.candidates[recipe]
    split_ns = int(snapshot.event_ns[-1]) - nanoseconds(task.holdout)
    matured_ns = split_ns - nanoseconds(task.maturity)
    known, split = np.searchsorted(snapshot.event_ns, [matured_ns, split_ns], side="right").tolist()
    if not known:
        raise ExportError(
            f"the snapshot has no row that had matured before its hold-out of {task.holdout}; "
            "take a longer one"
        )

    progress(f"{recipe}: fitting on {known} rows to measure on the {len(snapshot.label) - split} newest")
    early = _fit(task, candidate, snapshot, slice(0, known))
    rule, measured, held_out = _measure(task, early, snapshot, split)

    progress(f"{recipe}: fitting on all {len(snapshot.label)} rows")
    final = _fit(task, candidate, snapshot, slice(None))
    pipeline = export_pipeline(final.transform, final.model, rule)

    progress(f"{recipe}: comparing the export with scikit-learn")
    width = len(final.transform.feature_names)
    files = final.exported, export_model(final.model, width), pipeline
    parity = check_parity(final.transform, final.model, files, snapshot.blocks)
    bundle = write_bundle(
        bundles,
        name=task.name,
        version=version or f"{recipe}-{snapshot.digest[:8]}",
        signature=task.signature,
        feature_names=final.transform.feature_names,
        files={
            PIPELINE: pipeline,
            TRANSFORM: final.exported,
            REFERENCE: make_reference(
                task.signature, snapshot.blocks, snapshot.event_ns, *held_out
            ).to_bytes(),
        },
        facts={
            "recipe": recipe,
            "estimator": _describe(final.model),
            "transform": [
                {"fields": list(columns.fields), "step": repr(columns.step)}
                for columns in candidate.transform.columns
            ],
            "decision": rule.to_json(),
            **({EXPLORATION: task.exploration.to_json()} if task.explore else {}),
            "costs": task.costs.to_json(),
            "costs_digest": task.costs.digest,
            "snapshot": snapshot.digest,
            "training": {
                "rows": len(snapshot.label),
                "first_event_ns": int(snapshot.event_ns[0]),
                "last_event_ns": int(snapshot.event_ns[-1]),
            },
            "holdout": {
                "note": "of the recipe fitted on what was known before it; what ships was fitted on all rows",
                **{name: _plain(value) for name, value in asdict(measured).items()},
            },
            "importance": importance_of(pipeline, task.signature, snapshot.blocks),
            "parity": parity.to_json(),
            "libraries": {
                "python": platform.python_version(),
                **{name: metadata.version(name) for name in _LIBRARIES},
            },
        },
    )
    progress(f"{recipe}: timing single rows")
    timing = time_single_rows(load_model(bundle.path), snapshot.blocks, TIMED_RUNS)
    report = FitReport(
        **asdict(measured),
        cpu_us_p50=timing.cpu_us_p50,
        cpu_us_p99=timing.cpu_us_p99,
        bytes=len(pipeline),
    )
    return Fitted(bundle, report)


@dataclass(frozen=True)
class _Fit:
    transform: FittedTransform
    exported: bytes
    model: Any


def _fit(task: Task, candidate: Candidate, snapshot: Snapshot, rows: slice) -> _Fit:
    """Fit the transform, export it, and fit the estimator on what the exported graph computes."""
    blocks, label = snapshot.blocks.take(rows), snapshot.label[rows]
    if len(np.unique(label)) < 2:  # noqa: PLR2004 - a classifier needs both labels
        raise ExportError("the training rows all have the same label; take a longer snapshot")
    transform = fit_transform(candidate.transform, task.signature, blocks, label)
    exported = export_transform(transform)
    features = training_features(transform, exported, blocks, label)
    model = seed(candidate.estimator())
    try:
        with threadpool_limits(limits=FIT_THREADS):
            model.fit(features, label.astype(np.int64))
    except ValueError as error:
        text = str(error).strip().split("\n", 1)[0]
        raise ExportError(f"{type(model).__name__} cannot be fitted: {text}") from error
    return _Fit(transform, exported, model)


def _measure(
    task: Task, early: _Fit, snapshot: Snapshot, split: int
) -> tuple[Rule, _Measured, tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Choose the rule, and measure it on hold-out rows that had no part in choosing it: the newest ones.

    Gives the score and decision of those rows too.
    """
    rule: Rule = UtilityRule(task.signature, task.costs)
    measured_from = split
    if isinstance(task.decision, Threshold):
        measured_from = (split + len(snapshot.label)) // 2
        if measured_from == split:
            raise ExportError("the hold-out has too few rows to choose a threshold; make it longer")
        choosing = snapshot.blocks.take(slice(split, measured_from))
        score, _ = _run(export_pipeline(early.transform, early.model, rule), choosing)
        rule = choose_threshold(
            task.signature,
            task.costs,
            choosing,
            snapshot.label[split:measured_from],
            score,
            weight=snapshot.weight[split:measured_from],
        )
    blocks, label = snapshot.blocks.take(slice(measured_from, None)), snapshot.label[measured_from:]
    score, decision = _run(export_pipeline(early.transform, early.model, rule), blocks)
    money = task.costs.utility(task.signature, blocks, decision, label)
    later = slice(measured_from, None)
    judged = Judged(money, score, decision, label, snapshot.event_ns[later], snapshot.weight[later])
    figures = measure(judged, CONFIDENCE)
    measured = _Measured(
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
    return rule, measured, (score, decision)


def _run(pipeline: bytes, blocks: Blocks) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    score, decision = open_session(pipeline).run([SCORE, DECISION], feed(blocks))
    return score, decision


def _describe(model: Any) -> dict[str, Any]:
    parameters = {name: _plain(value) for name, value in sorted(model.get_params(deep=False).items())}
    return {"class": f"{type(model).__module__}.{type(model).__qualname__}", "parameters": parameters}


def _plain(value: Any) -> Any:
    """The value itself where JSON can say it, NaN as null, anything else as its repr."""
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else repr(value)
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)
