from dataclasses import fields, replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score

from trainer.days import DAY_NS
from trainer.figures import DayRows, Judged, area, measure
from trainer.interval import holm, p_of_zero, ratio_interval

DAYS, A_DAY = 12, 50


def judged(*, copies: int = 1, seed: int = 0, constant: float | None = None) -> Judged:
    """Rows of whole days that share an effect; `copies` repeats every row within its day."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(DAYS), A_DAY)
    chance = np.clip(0.3 + rng.normal(0, 0.15, DAYS)[day], 0.02, 0.98)
    label = (rng.random(len(day)) < chance).astype(np.float64)
    score = np.round(np.clip(0.3 * label + rng.random(len(day)) * 0.7, 0, 1), 2).astype(np.float32)  # ties
    if constant is not None:
        score[:] = constant
    decision = score > 0.6
    money = np.where(decision, np.where(label == 1, 3.0, -2.0), 0.0)
    rows = np.repeat(np.arange(len(day)), copies)
    event_ns = (day[rows] * DAY_NS).astype(np.int64)
    return Judged(money[rows], score[rows], decision[rows], label[rows], event_ns, np.ones(len(rows)))


def take(of: Judged, rows) -> Judged:
    return Judged(*(getattr(of, field.name)[rows] for field in fields(of)))


def test_figures_are_those_of_scikit_learn():
    rows = judged()
    figures = measure(rows, 0.95)
    assert figures.rows == DAYS * A_DAY
    assert figures.days == DAYS
    assert figures.accuracy.estimate == pytest.approx(accuracy_score(rows.label, rows.score >= 0.5))
    assert figures.auc.estimate == pytest.approx(roc_auc_score(rows.label, rows.score))
    assert figures.log_loss.estimate == pytest.approx(log_loss(rows.label, rows.score.astype(float)))
    assert figures.calibration.brier.estimate == pytest.approx(brier_score_loss(rows.label, rows.score))
    assert figures.utility_per_1000.estimate == pytest.approx(1000 * rows.money.mean())
    assert figures.act_rate.estimate == rows.decision.mean()
    assert figures.label_rate.estimate == rows.label.mean()


def test_rows_of_a_day_are_one_unit_however_many():
    once, often = measure(judged(), 0.95), measure(judged(copies=9), 0.95)
    for name in ("utility_per_1000", "accuracy", "auc", "log_loss", "label_rate"):
        one, other = getattr(once, name), getattr(often, name)
        assert (other.lower, other.upper) == pytest.approx((one.lower, one.upper))


def test_a_row_that_stands_for_several_counts_as_if_it_were_there_as_often():
    rows = judged()
    times = np.random.default_rng(3).integers(1, 5, len(rows))
    weighted = measure(replace(rows, weight=times.astype(np.float64)), 0.95)
    copied = measure(take(rows, np.repeat(np.arange(len(rows)), times)), 0.95)
    for name in ("utility_per_1000", "accuracy", "auc", "log_loss", "act_rate", "label_rate"):
        one, other = getattr(weighted, name), getattr(copied, name)
        assert (one.estimate, one.lower, one.upper) == pytest.approx(
            (other.estimate, other.lower, other.upper)
        )
    assert weighted.calibration.brier.estimate == pytest.approx(copied.calibration.brier.estimate)
    assert weighted.calibration.gap.estimate == pytest.approx(copied.calibration.gap.estimate)


def test_interval_of_the_area_covers_as_often_as_it_says():
    inside = 0
    truth = np.mean([area_of(judged(seed=seed)).estimate for seed in range(200)])
    for seed in range(200):
        found = area_of(judged(seed=seed))
        inside += found.lower <= truth <= found.upper
    assert 182 <= inside <= 198  # 190 expected, and three standard deviations


def area_of(rows: Judged):
    return area(rows.score, rows.label, DayRows.of(rows.event_ns, rows.weight), 0.95)


def test_one_label_has_no_area_and_one_score_one_bin():
    rows = judged(constant=0.25)
    figures = measure(rows, 0.95)
    assert figures.auc.estimate == 0.5
    (one,) = figures.calibration.bins
    assert one.rows == len(rows)
    assert figures.calibration.ece == pytest.approx(abs(0.25 - rows.label.mean()))
    assert measure(replace(rows, label=np.ones(len(rows))), 0.95).auc is None


def test_right_probabilities_miss_by_chance_alone_and_wrong_ones_by_more():
    rng = np.random.default_rng(1)
    chance = rng.random(20_000)
    event_ns = np.repeat(np.arange(20), 1_000) * DAY_NS
    label = (rng.random(len(chance)) < chance).astype(np.float64)
    nothing = np.zeros(len(label))

    def calibration(score):
        rows = Judged(nothing, score.astype(np.float32), score > 2, label, event_ns, nothing + 1)
        return measure(rows, 0.95).calibration

    right, wrong = calibration(chance), calibration(chance**2)
    assert right.ece < 2 * right.ece_by_chance < 0.02
    assert right.gap.lower < 0 < right.gap.upper
    assert wrong.ece > 5 * wrong.ece_by_chance
    assert wrong.gap.upper < 0
    assert [one.rows for one in right.bins] == [2_000] * 10


def test_p_of_zero_agrees_with_the_bounds():
    for sums in ([1.0, 2.0, 3.5, 0.2], [1.0, -2.0, 3.5, 0.2], [-1.0, -2.0, -1.5, -0.2]):
        p = p_of_zero(ratio_interval(sums, [10, 11, 12, 9], 0.9))
        touching = ratio_interval(sums, [10, 11, 12, 9], 1 - p)
        assert min(abs(touching.lower), abs(touching.upper)) == pytest.approx(0, abs=1e-9)
    assert p_of_zero(ratio_interval([5.0], [10], 0.9)) == 1
    assert p_of_zero(ratio_interval([5.0, 5.0], [10, 10], 0.9)) == 0


def test_holm_keeps_order_and_never_passes_one():
    assert holm([]) == []
    assert holm([0.02, 0.02]) == [0.04, 0.04]
    assert holm([0.5, 0.001, 0.9]) == [1.0, 0.003, 1.0]
