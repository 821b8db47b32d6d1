"""From a snapshot and a recipe to a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from trainer.crossfit import training_features
from trainer.days import nanoseconds
from trainer.errors import ExportError, first_line
from trainer.export import export_model, export_pipeline, export_transform
from trainer.offline import FitReport, choose_rule, holdout_begins, measure, plain, run_pipeline
from trainer.packing import Parts, holdout_facts, pack, time_bundle
from trainer.parity import check_parity
from trainer.seed import seed
from trainer.transform import FittedTransform, fit_transform

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sidecar.bundle import Bundle
    from trainer.snapshot import Snapshot
    from trainer.task import Candidate, Task

FIT_THREADS = 1
"""OpenMP threads of a fit. HistGradientBoosting slows down manifold when its threads wait for busy cores."""


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
    split_ns = holdout_begins(task, snapshot)
    matured_ns = split_ns - nanoseconds(task.maturity)
    known, split = np.searchsorted(snapshot.event_ns, [matured_ns, split_ns], side="right").tolist()
    if not known:
        raise ExportError(
            f"the snapshot has no row that had matured before its hold-out of {task.holdout}; "
            "take a longer one"
        )

    progress(f"{recipe}: fitting on {known} rows to measure on the {len(snapshot.label) - split} newest")
    early = _fit(task, candidate, snapshot, slice(0, known))
    rule, measured_from = choose_rule(
        task, lambda rule: export_pipeline(early.transform, early.model, rule), snapshot, split
    )
    held_out = run_pipeline(
        export_pipeline(early.transform, early.model, rule), snapshot.blocks.take(slice(measured_from, None))
    )
    measured = measure(task, snapshot, held_out)

    progress(f"{recipe}: fitting on all {len(snapshot.label)} rows")
    final = _fit(task, candidate, snapshot, slice(None))
    pipeline = export_pipeline(final.transform, final.model, rule)

    progress(f"{recipe}: comparing the export with scikit-learn")
    width = len(final.transform.feature_names)
    files = final.exported, export_model(final.model, width), pipeline
    parity = check_parity(final.transform, final.model, files, snapshot.blocks)
    bundle = pack(
        task,
        snapshot,
        Parts(final.exported, pipeline, final.transform.feature_names, rule, held_out),
        bundles=bundles,
        version=version or f"{recipe}-{snapshot.digest[:8]}",
        facts={
            "recipe": recipe,
            "estimator": _describe(final.model),
            "transform": describe_transform(candidate),
            "training": {
                "rows": len(snapshot.label),
                "first_event_ns": int(snapshot.event_ns[0]),
                "last_event_ns": int(snapshot.event_ns[-1]),
            },
            "holdout": holdout_facts(
                measured,
                of_recipe=True,
                note="of the recipe fitted on what was known before it; what ships was fitted on all rows",
            ),
            "parity": parity.to_json(),
        },
    )
    progress(f"{recipe}: timing single rows")
    return Fitted(bundle, FitReport.of(measured, time_bundle(bundle, snapshot)))


def describe_transform(candidate: Candidate) -> list[dict[str, Any]]:
    """What the manifest says of a recipe's transform."""
    return [
        {"fields": list(columns.fields), "step": repr(columns.step)}
        for columns in candidate.transform.columns
    ]


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
        text = first_line(error)
        raise ExportError(f"{type(model).__name__} cannot be fitted: {text}") from error
    return _Fit(transform, exported, model)


def _describe(model: Any) -> dict[str, Any]:
    parameters = {name: plain(value) for name, value in sorted(model.get_params(deep=False).items())}
    return {"class": f"{type(model).__module__}.{type(model).__qualname__}", "parameters": parameters}
