"""How well scores and decisions did on labelled rows: each figure with an interval of whole days.

Also the calibration, because a decision by expected utility trusts its score to be a probability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from trainer.days import DAY_NS
from trainer.interval import PER, Interval, linear_interval, ratio_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

EVEN_CHANCE = 0.5
BINS = 10
_LEAST = 1e-15  # as in scikit-learn's log_loss for float64


@dataclass(frozen=True)
class Bin:
    """Rows with neighbouring scores: how many, their mean score, and the share with a positive label."""

    rows: int
    score: float
    observed: Interval


@dataclass(frozen=True)
class Calibration:
    """Whether scores are the shares that come true.

    gap: mean score less label rate. brier: mean squared error. ece: mean distance of score and label rate
    over `BINS` bins of about equally many rows; ece_by_chance: what it would be about, from the days' spread
    alone, if every bin were right. bins: the reliability table, lowest scores first.
    """

    gap: Interval
    brier: Interval
    ece: float
    ece_by_chance: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Figures:
    """One version on rows with a label. accuracy: of score >= 0.5. auc: None when all labels are equal."""

    rows: int
    days: int
    utility_per_1000: Interval
    accuracy: Interval
    auc: Interval | None
    log_loss: Interval
    act_rate: Interval
    label_rate: Interval
    calibration: Calibration


@dataclass(frozen=True, eq=False)
class Judged:
    """What one version made of n rows with a label, and what it earned.

    money, label (0 or 1): float64 [n]; score: float32 [n]; decision: bool [n]; event_ns: int64 [n]; weight:
    float64 [n], how many rows each stands for.
    """

    money: NDArray[np.float64]
    score: NDArray[np.float32]
    decision: NDArray[np.bool_]
    label: NDArray[np.float64]
    event_ns: NDArray[np.int64]
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.label)

    @classmethod
    def concat(cls, parts: Sequence[Judged]) -> Judged:
        """The rows of all, one part after the other."""
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))


@dataclass(frozen=True, eq=False)
class DayRows:
    """Which day each row belongs to, and how many rows it stands for.

    day: int64 [n], 0 to days - 1; weight: float64 [n].
    """

    day: NDArray[np.int64]
    days: int
    weight: NDArray[np.float64]

    @classmethod
    def of(cls, event_ns: NDArray[np.int64], weight: NDArray[np.float64]) -> DayRows:
        """The UTC days of rows, of which only those with rows count."""
        starts, day = np.unique(event_ns // DAY_NS, return_inverse=True)
        return cls(day.astype(np.int64), len(starts), weight)

    def take(self, rows: NDArray[np.int64]) -> DayRows:
        """The rows at these indices, among the same days."""
        return DayRows(self.day[rows], self.days, self.weight[rows])

    def sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum over each day's rows; values: [n]."""
        return np.bincount(self.day, weights=self.weight * values, minlength=self.days).astype(np.float64)

    def count(self) -> NDArray[np.float64]:
        """The rows of each day."""
        return np.bincount(self.day, weights=self.weight, minlength=self.days).astype(np.float64)

    def mean(self, values: NDArray[np.float64], confidence: float, *, per: float = 1.0) -> Interval:
        """The mean over rows; values: [n]."""
        return ratio_interval(self.sum(values), self.count(), confidence, per=per)


def measure(judged: Judged, confidence: float) -> Figures:
    """The figures of some rows."""
    rows, label = DayRows.of(judged.event_ns, judged.weight), judged.label
    probability = judged.score.astype(np.float64)
    clipped = np.clip(probability, _LEAST, 1 - _LEAST)
    loss = -np.where(label == 1, np.log(clipped), np.log1p(-clipped))
    right = (judged.score >= EVEN_CHANCE) == (label == 1)
    return Figures(
        rows=len(judged),
        days=rows.days,
        utility_per_1000=rows.mean(judged.money, confidence, per=PER),
        accuracy=rows.mean(right.astype(np.float64), confidence),
        auc=area(judged.score, label, rows, confidence),
        log_loss=rows.mean(loss, confidence),
        act_rate=rows.mean(judged.decision.astype(np.float64), confidence),
        label_rate=rows.mean(label, confidence),
        calibration=calibrate(probability, label, rows, confidence),
    )


def area(
    score: NDArray[np.float32], label: NDArray[np.float64], rows: DayRows, confidence: float
) -> Interval | None:
    """The area under the ROC curve; None when all labels are equal.

    Its error is that of clustered ROC data with days as clusters: N. A. Obuchowski, Nonparametric analysis of
    clustered ROC curve data, Biometrics 53 (1997), 567-578. Bounds end at 0 and 1.
    """
    positive = label == 1
    positives, negatives = (float(rows.weight[kind].sum()) for kind in (positive, ~positive))
    if not positives or not negatives:
        return None
    # The share of the other kind that each row is on the right side of, ties counted half.
    place = np.empty(len(label))
    place[positive] = _share_below(score[positive], score[~positive], rows.weight[~positive])
    place[~positive] = 1 - _share_below(score[~positive], score[positive], rows.weight[positive])
    estimate = float(np.average(place[positive], weights=rows.weight[positive]))
    weight = np.where(positive, 1 / positives, 1 / negatives)
    found = linear_interval(estimate, rows.sum(weight * (place - estimate)), confidence)
    if not math.isfinite(found.lower):
        return found
    return Interval(estimate, max(found.lower, 0.0), min(found.upper, 1.0), confidence, found.days)


def calibrate(
    probability: NDArray[np.float64], label: NDArray[np.float64], rows: DayRows, confidence: float
) -> Calibration:
    """The calibration of n rows, at least one."""
    bins: list[Bin] = []
    distance = by_chance = 0.0
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, BINS + 1)[1:-1]))
    place = np.searchsorted(edges, probability, side="left")
    for number in range(len(edges) + 1):
        inside = np.flatnonzero(place == number)
        if not len(inside):
            continue
        part = rows.take(inside)
        share = float(part.weight.sum() / rows.weight.sum())
        gap = ratio_interval(part.sum(probability[inside] - label[inside]), part.count(), confidence)
        bins.append(
            Bin(
                rows=len(inside),
                score=float(np.average(probability[inside], weights=part.weight)),
                observed=ratio_interval(part.sum(label[inside]), part.count(), confidence),
            )
        )
        distance += share * abs(gap.estimate)
        by_chance += share * gap.standard_error * math.sqrt(2 / math.pi)  # the mean of |N(0, 1)|
    return Calibration(
        gap=rows.mean(probability - label, confidence),
        brier=rows.mean((probability - label) ** 2, confidence),
        ece=distance,
        ece_by_chance=by_chance,
        bins=tuple(bins),
    )


def _share_below(
    values: NDArray[np.float32], others: NDArray[np.float32], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The share of `others`, which have these weights, below each value; equal ones counted half."""
    order = np.argsort(others, kind="stable")
    rising, below = others[order], np.append(0.0, np.cumsum(weight[order]))
    first, last = (np.searchsorted(rising, values, side=side) for side in ("left", "right"))
    share: NDArray[np.float64] = (below[first] + below[last]) / (2 * below[-1])
    return share
