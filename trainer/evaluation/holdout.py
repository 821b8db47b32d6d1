"""The hold-out that versions were measured on before any live row, and who may be scored on it.

What ships is fitted on all rows of its snapshot, the hold-out's included. So on its own hold-out a version
has only the figures in its manifest, which are of the recipe fitted on what was known before; of a model that
was brought along and knows no later rows they are its own. A version that was fitted on nothing later than
the hold-out's beginning is scored on it; any other has no figure there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidecar.errors import NotFoundError
from sidecar.session import load_model
from trainer.days import nanoseconds
from trainer.evaluation.rescore import rescore
from trainer.figures import Judged, measure
from trainer.interval import Interval
from trainer.snapshot import find_snapshot, open_snapshot
from trainer.task import Threshold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sidecar.bundle import Bundle
    from trainer.snapshot import Snapshot
    from trainer.task import Task


@dataclass(frozen=True)
class HoldOutFigures:
    """One version on one hold-out.

    of_recipe: the figures are of the recipe; False when the version itself was scored.
    auc: NaN when all labels are equal.
    """

    of_recipe: bool
    rows: int
    utility_per_1000: Interval
    accuracy: float
    auc: float
    log_loss: float
    brier: float
    ece: float


@dataclass(frozen=True)
class HoldOut:
    """The hold-out of one snapshot (by digest), and who has figures on it, by digest.

    since_ns: its rows are later; None when the snapshot is not here, so that nobody else can be scored.
    """

    snapshot: str
    since_ns: int | None
    figures: Mapping[str, HoldOutFigures]


def hold_outs(task: Task, bundles: Sequence[Bundle], snapshots: Path, confidence: float) -> list[HoldOut]:
    """The hold-outs of these versions, in their order, each with all the figures that may be had.

    snapshots: the folder of snapshots.
    """
    own: dict[str, list[Bundle]] = {}
    for bundle in bundles:
        if bundle.manifest.get("holdout"):
            own.setdefault(bundle.manifest["snapshot"], []).append(bundle)
    found = []
    for digest, owners in own.items():
        figures = {one.model.digest: _from_manifest(one.manifest["holdout"], confidence) for one in owners}
        try:
            snapshot = open_snapshot(find_snapshot(snapshots, digest))
        except NotFoundError:
            found.append(HoldOut(digest, None, figures))
            continue
        split_ns = int(snapshot.event_ns[-1]) - nanoseconds(task.holdout)
        for bundle in bundles:
            until_ns = bundle.fitted_until_ns
            if bundle.model.digest not in figures and until_ns is not None and until_ns <= split_ns:
                figures[bundle.model.digest] = _scored(task, bundle, snapshot, split_ns, confidence)
        found.append(HoldOut(digest, split_ns, figures))
    return found


def _from_manifest(measured: Mapping[str, Any], confidence: float) -> HoldOutFigures:
    return HoldOutFigures(
        of_recipe=measured["of_recipe"],
        rows=measured["rows"],
        utility_per_1000=Interval(
            measured["utility_per_1000"],
            # An infinite bound is kept as text.
            float(measured["utility_lower"]),
            float(measured["utility_upper"]),
            confidence,
            0,
        ),
        accuracy=measured["accuracy"],
        auc=math.nan if measured["auc"] is None else measured["auc"],
        log_loss=measured["log_loss"],
        brier=measured["brier"],
        ece=measured["ece"],
    )


def _scored(
    task: Task, bundle: Bundle, snapshot: Snapshot, split_ns: int, confidence: float
) -> HoldOutFigures:
    first = int(snapshot.event_ns.searchsorted(split_ns, side="right"))
    if isinstance(task.decision, Threshold):
        first = (first + len(snapshot)) // 2  # the recipes chose their thresholds on the rows before
    blocks, label = snapshot.blocks.take(slice(first, None)), snapshot.label[first:]
    scored = rescore(load_model(bundle.path), blocks)
    valued = scored.valued.nonzero()[0]
    blocks, label, scored = blocks.take(valued), label[valued], scored.take(valued)
    money = task.costs.utility(task.signature, blocks, scored.decision, label)
    event_ns, weight = snapshot.event_ns[first:][valued], snapshot.weight[first:][valued]
    figures = measure(Judged(money, scored.score, scored.decision, label, event_ns, weight), confidence)
    return HoldOutFigures(
        of_recipe=False,
        rows=figures.rows,
        utility_per_1000=figures.utility_per_1000,
        accuracy=figures.accuracy.estimate,
        auc=figures.auc.estimate if figures.auc else math.nan,
        log_loss=figures.log_loss.estimate,
        brier=figures.calibration.brier.estimate,
        ece=figures.calibration.ece,
    )
