"""Whether the exported graph computes what scikit-learn computes: checked at every export."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from itertools import cycle, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.session import DECISION, FEATURES, SCORE, feed, open_session
from sidecar.signature import Blocks
from trainer.adversary import adversarial_rows
from trainer.errors import ExportError
from trainer.export import export_transform
from trainer.trees import read_ensemble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer.transform import FittedTransform

TOLERANCE = 1e-6
"""Features differ by no more, and neither do the scores of all rows but `ODD_SHARE`."""
ODD_SHARE = 0.001
SCORE_LIMIT = 1e-5
"""No score differs by more. Adding up hundreds of trees in float32 comes near 1e-6 by rounding alone; a wrong
turn in one tree goes far beyond this."""
REAL_ROWS = 10_000
EDGE_ROWS = 10_000
SINGLE_ROWS = 500
BATCHES = (2, 3, 5, 17, 64, 250)
"""Rows of a run, one after the other: both sides of what vector instructions take at once."""


@dataclass(frozen=True)
class Parity:
    """How far the graph and scikit-learn are apart, and over how many rows.

    feature_difference: relative to the feature where that exceeds 1, after allowing for what one float32 step
    of the raw value changes. score_difference: absolute. single_rows_differ: of the rows run one by one, how
    many scored other bits than all together. batched_rows_differ: the same of all rows, in batches of
    `BATCHES`. Where both are 0, what was scored row by row is scored again to the bit in large batches.
    """

    real_rows: int
    adversarial_rows: int
    edge_rows: int
    feature_difference: float
    score_difference: float
    single_rows: int
    single_rows_differ: int
    batched_rows_differ: int

    def to_json(self) -> dict[str, Any]:
        """What the manifest says.

        Two digits of each difference: the threads of a forest add up scikit-learn's own scores in any order,
        and equal fits must give equal bundles.
        """
        rounded = {
            "feature_difference": float(f"{self.feature_difference:.1e}"),
            "score_difference": float(f"{self.score_difference:.1e}"),
        }
        return asdict(self) | rounded


def check_parity(
    transform: FittedTransform, model: Any, files: tuple[bytes, bytes, bytes], blocks: Blocks
) -> Parity:
    """Compare the exported graphs with scikit-learn on real and on adversarial rows.

    files: the transform, the model alone ("features" to "score"), and the pipeline.
    Raises ExportError naming the feature or the model that differs too much: see `TOLERANCE`.
    """
    real = blocks.take(slice(None, None, -(-len(blocks) // REAL_ROWS)))
    nasty = adversarial_rows(transform.signature, real)
    every = Blocks.concat([real, nasty])
    transform_run, model_run, pipeline_run = (open_session(file).run for file in files)

    (features,) = transform_run([FEATURES], feed(every))
    feature_difference = check_features(transform, features, every)

    ensemble = read_ensemble(model)
    edges = features[:0] if ensemble is None else ensemble.edge_rows(features[: len(real)], EDGE_ROWS)
    score_difference = _check_scores(model, model_run, features, "the rows")
    if len(edges):
        score_difference = max(
            score_difference, _check_scores(model, model_run, edges, "both sides of its thresholds")
        )

    (alone,) = model_run([SCORE], {FEATURES: features})
    together = pipeline_run([FEATURES, SCORE, DECISION], feed(every))
    if together[0].tobytes() != features.tobytes() or together[1].tobytes() != alone.tobytes():
        raise ExportError("the pipeline differs from its parts run one after the other; report this as a bug")

    singles = _batches(max(0, len(every) - SINGLE_ROWS), len(every), (1,))
    batches = _batches(0, len(every), BATCHES)
    single_rows_differ, batched_rows_differ = (
        sum(_differing(transform, pipeline_run, every, together, part) for part in parts)
        for parts in (singles, batches)
    )
    return Parity(
        real_rows=len(real),
        adversarial_rows=len(nasty),
        edge_rows=len(edges),
        feature_difference=feature_difference,
        score_difference=score_difference,
        single_rows=min(SINGLE_ROWS, len(every)),
        single_rows_differ=single_rows_differ,
        batched_rows_differ=batched_rows_differ,
    )


def check_features(transform: FittedTransform, got: NDArray[np.float32], blocks: Blocks) -> float:
    """How far `got`, what the exported transform makes of raw rows, is from what scikit-learn makes of them.

    Raises ExportError naming a feature that differs by more than `TOLERANCE`, or when merging columns into
    blocks has changed a bit.
    """
    try:
        wanted = transform.reference(blocks)
        below, above = (transform.reference(_step(blocks, side)) for side in (-1, 1))
    except ValueError as error:
        raise ExportError(
            f"scikit-learn's own transform fails on a row that a request may bring: {error}"
        ) from error
    if wanted.shape != got.shape:
        raise ExportError(
            f"the exported transform gives {got.shape[1]} features and scikit-learn {wanted.shape[1]}; "
            "a field that is always missing, or an option that the export drops, does that"
        )
    with np.errstate(invalid="ignore", over="ignore"):
        wanted32 = wanted.astype(np.float32)
        same = (got == wanted32) | (np.isnan(got) & np.isnan(wanted))
        step = np.nan_to_num(np.abs(above - below), posinf=0.0)
        apart = np.maximum(np.abs(got.astype(np.float64) - wanted) - step, 0) / np.maximum(1, np.abs(wanted))
    apart = np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
    worst = float(apart.max(initial=0.0))
    if worst > TOLERANCE:
        row, column = np.unravel_index(int(apart.argmax()), apart.shape)
        raise ExportError(
            f"feature '{transform.feature_names[column]}' is {got[row, column]:g} in the exported transform "
            f"and {wanted[row, column]:g} in scikit-learn; use another step for it"
        )
    (separate,) = open_session(export_transform(transform, blocked=False)).run([FEATURES], feed(blocks))
    if separate.tobytes() != got.tobytes():
        raise ExportError(
            "the exported transform differs from its parts written one by one; report this as a bug"
        )
    return worst


def _step(blocks: Blocks, side: int) -> Blocks:
    """The rows with every number moved by one float32 step, so that only rounding differs."""
    numbers = np.nextafter(blocks.numbers, np.float32(side * np.inf))
    return Blocks(numbers, blocks.integers, blocks.texts)


def _check_scores(model: Any, run: Any, features: NDArray[np.float32], where: str) -> float:
    (got,) = run([SCORE], {FEATURES: features})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = model.predict_proba(features)[:, 1]
    except ValueError as error:
        raise ExportError(
            f"{type(model).__name__} fails on a row that a request may bring: {error}; "
            "impute or bound the fields, or use a model that takes missing values"
        ) from error
    apart = np.abs(got - wanted)
    worst = float(np.where(np.isnan(apart), np.inf, apart).max(initial=0.0))
    if worst > SCORE_LIMIT or np.mean(apart > TOLERANCE) > ODD_SHARE:
        raise ExportError(
            f"{type(model).__name__}: the exported score differs from scikit-learn's by {worst:.2g} on "
            f"{where}; use a logistic regression, a forest or gradient boosting"
        )
    return worst


def _batches(start: int, end: int, sizes: Sequence[int]) -> list[slice]:
    edges = [start]
    for size in cycle(sizes):
        if edges[-1] == end:
            return [slice(*pair) for pair in pairwise(edges)]
        edges.append(min(end, edges[-1] + size))
    raise AssertionError  # a cycle has no end


def check_batches(
    transform: FittedTransform, run: Any, blocks: Blocks, features: NDArray[np.float32]
) -> None:
    """Raise ExportError naming a feature whose bits depend on how many rows are computed at once.

    run: of a graph that gives "features". features: what it gives for all of `blocks` together.
    """
    for rows in (*_batches(0, min(SINGLE_ROWS, len(blocks)), (1,)), *_batches(0, len(blocks), BATCHES)):
        (part,) = run([FEATURES], feed(blocks.take(rows)))
        _check_bits(transform, part, features[rows])


def _differing(
    transform: FittedTransform, run: Any, blocks: Blocks, together: list[NDArray[Any]], rows: slice
) -> int:
    """How many of `rows`, run by themselves, score or decide otherwise than `together` with all others."""
    features, score, decision = run([FEATURES, SCORE, DECISION], feed(blocks.take(rows)))
    all_features, all_scores, all_decisions = (each[rows] for each in together)
    _check_bits(transform, features, all_features)
    differs = (score.view(np.int32) != all_scores.view(np.int32)) | (decision != all_decisions)
    return int(differs.sum())


def _check_bits(transform: FittedTransform, one: NDArray[np.float32], other: NDArray[np.float32]) -> None:
    differs = (one.view(np.int32) != other.view(np.int32)).any(axis=0)
    if differs.any():
        raise ExportError(
            f"feature '{transform.feature_names[int(differs.argmax())]}' of a row depends on how many rows "
            "are computed with it; use another step for it"
        )
