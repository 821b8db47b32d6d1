"""The matrix that a model is fitted on, when a step has looked at the labels.

A target encoder fitted on all rows has seen each row's own label, and a model fitted on its codes would
trust them too much. So the rows are cut into folds; for each, the step is fitted on the others and exported,
and the fold's features are what that graph computes. Served is the step fitted on all rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline

from trainer.errors import ExportError
from trainer.export import compute_features, export_transform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.signature import Blocks
    from trainer.transform import FittedTransform, Part

LABEL_STEPS = frozenset({"TargetEncoder"})
"""Steps that look at the label when they are fitted."""
_SEED = 0


def training_features(
    transform: FittedTransform, exported: bytes, blocks: Blocks, label: NDArray[np.float64]
) -> NDArray[np.float32]:
    """What exported graphs make of the rows that `transform` was fitted on, float32 [n, features].

    exported: of `transform`; it gives the matrix when no step looks at labels. Else every row comes from a
    graph that does not know its label, and only the features of such steps differ from what `exported` gives.
    Raises ExportError when a label has fewer rows than there are folds.
    """
    encoders = [step for part in transform.parts for step in label_steps(part.step)]
    if not encoders:
        return compute_features(exported, blocks)
    folds = max(step.cv for step in encoders)
    if np.unique(label, return_counts=True)[1].min() < folds:
        raise ExportError(
            f"TargetEncoder needs {folds} rows of each label to be fitted; take a longer snapshot"
        )
    features = np.empty((len(blocks), len(transform.feature_names)), np.float32)
    for rest, fold in StratifiedKFold(folds, shuffle=True, random_state=_SEED).split(label, label):
        parts = tuple(
            _refit(part, transform.raw(part, blocks.take(rest)), label[rest]) for part in transform.parts
        )
        graph = export_transform(replace(transform, parts=parts))
        features[fold] = compute_features(graph, blocks.take(fold))
    return features


def label_steps(step: Any) -> list[Any]:
    """The steps within `step` that look at labels."""
    if isinstance(step, Pipeline):
        return [found for _, inner in step.steps for found in label_steps(inner)]
    return [step] if type(step).__name__ in LABEL_STEPS else []


def _refit(part: Part, raw: NDArray[Any], label: NDArray[np.float64]) -> Part:
    return replace(part, step=_refit_step(part.step, raw, label)) if label_steps(part.step) else part


def _refit_step(step: Any, raw: NDArray[Any], label: NDArray[np.float64]) -> Any:
    """A step like the fitted one, with what looks at labels fitted anew and all else as it is."""
    if not label_steps(step):
        return step
    if not isinstance(step, Pipeline):
        return clone(step).fit(raw, label)
    steps = []
    for name, inner in step.steps:
        steps.append((name, _refit_step(inner, raw, label)))
        raw = raw if isinstance(inner, str) else inner.transform(raw)
    return Pipeline(steps)
