"""From labelled rows to a fitted estimator; the transform before it is fitted and exported once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from trainer.crossfit import training_features
from trainer.errors import ExportError, first_line
from trainer.export import export_pipeline, export_transform
from trainer.seed import seed
from trainer.transform import FittedTransform, fit_transform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.export import Rule
    from trainer.snapshot import Snapshot
    from trainer.task import Task, Transform

FIT_THREADS = 1
"""OpenMP threads of a fit. HistGradientBoosting slows down manifold when its threads wait for busy cores."""


@dataclass(frozen=True, eq=False)
class Learned:
    """A fitted estimator and the transform before it."""

    transform: FittedTransform
    exported: bytes
    model: Any

    def pipeline(self, rule: Rule) -> bytes:
        """The graph from raw blocks to score and decision. Raises ExportError."""
        return export_pipeline(self.transform, self.model, rule)


@dataclass(frozen=True, eq=False)
class Lesson:
    """Rows as estimators see them. features: float32 [n, features]; label: float64 [n], 0 or 1."""

    transform: FittedTransform
    exported: bytes
    features: NDArray[np.float32]
    label: NDArray[np.float64]

    def fit(self, estimator: Any) -> Learned:
        """Fit an unfitted classifier on them. Raises ExportError when it cannot be."""
        model = seed(estimator)
        try:
            with threadpool_limits(limits=FIT_THREADS):
                model.fit(self.features, self.label.astype(np.int64))
        except ValueError as error:
            text = first_line(error)
            raise ExportError(f"{type(model).__name__} cannot be fitted: {text}") from error
        return Learned(self.transform, self.exported, model)


def prepare(task: Task, transform: Transform, snapshot: Snapshot) -> Lesson:
    """Fit the transform on all rows, export it, and let that graph compute what estimators learn from.

    Raises ExportError when it cannot be fitted or exported, or all labels are the same.
    """
    if len(np.unique(snapshot.label)) < 2:  # noqa: PLR2004 - a classifier needs both labels
        raise ExportError("the training rows all have the same label; take a longer snapshot")
    fitted = fit_transform(transform, task.signature, snapshot.blocks, snapshot.label)
    exported = export_transform(fitted)
    features = training_features(fitted, exported, snapshot.blocks, snapshot.label)
    return Lesson(fitted, exported, features, snapshot.label)
