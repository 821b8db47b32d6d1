import math

import numpy as np
import pytest

from trainer.days import DAY_NS
from trainer.monitor.expected import LEAST_TRIALS, Outlook, Priced, Trial, doubts, estimate

DAYS, A_DAY = 60, 300


def rows(*, harder_from: int | None = None, meaning_from: int | None = None, seed: int = 0) -> Priced:
    """Sixty days of scores that are too low throughout, and what came of them.

    harder_from: the day from which on more rows are likely positives, with the scores to match. meaning_from:
    the day from which on the same score means less.
    """
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(DAYS), A_DAY)
    chance = rng.beta(2, 5, len(day))
    if harder_from is not None:
        chance = np.where(day >= harder_from, np.sqrt(chance), chance)
    score = (chance * 0.6).astype(np.float32)
    if meaning_from is not None:
        chance = np.where(day >= meaning_from, chance / 3, chance)
    label = (rng.random(len(day)) < chance).astype(np.float64)
    acted = score > 0.25
    return Priced(
        event_ns=day * DAY_NS + rng.integers(0, DAY_NS, len(day)),
        score=score,
        if_positive=np.where(acted, 10.0, 0.0),
        if_negative=np.where(acted, -6.0, 0.0),
        label=label,
    )


def unknown_from(priced: Priced, day: int) -> Priced:
    order = np.argsort(priced.event_ns)
    label = np.where(priced.event_ns >= day * DAY_NS, np.nan, priced.label)
    return Priced(
        *(
            column[order]
            for column in (priced.event_ns, priced.score, priced.if_positive, priced.if_negative)
        ),
        label[order],
    )


def expect(priced: Priced, day: int, length: int = 2, trials: int = 8):
    return estimate(
        unknown_from(priced, day), day * DAY_NS, (day + length) * DAY_NS, calibrate_days=28, trials=trials
    )


def truth(priced: Priced, day: int, length: int = 2) -> Outlook:
    inside = (priced.event_ns >= day * DAY_NS) & (priced.event_ns < (day + length) * DAY_NS)
    part = Priced(
        *(
            column[inside]
            for column in (
                priced.event_ns,
                priced.score,
                priced.if_positive,
                priced.if_negative,
                priced.label,
            )
        )
    )
    return part.outlook(part.label)


def test_figures_without_outcomes_are_near_the_real_ones():
    covered = 0
    for seed in range(10):
        priced = rows(seed=seed)
        found, real = expect(priced, 50), truth(priced, 50)
        assert found.rows == 2 * A_DAY
        assert found.label_rate.estimate == pytest.approx(real.label_rate, abs=0.07)
        assert found.accuracy.estimate == pytest.approx(real.accuracy, abs=0.07)
        covered += found.utility_per_1000.lower <= real.utility_per_1000 <= found.utility_per_1000.upper
    assert covered >= 8


def test_rows_that_are_harder_change_the_expectation_before_any_outcome():
    priced = rows(harder_from=50)
    found, real, usual = expect(priced, 50), truth(priced, 50), truth(priced, 40, 10)
    assert real.label_rate > usual.label_rate + 0.15
    assert found.label_rate.estimate == pytest.approx(real.label_rate, abs=0.06)
    assert found.utility_per_1000.estimate == pytest.approx(real.utility_per_1000, abs=900)
    assert found.utility_per_1000.lower > usual.utility_per_1000
    # Such scores were never met, so it says that it is guessing.
    assert len(found.doubts) == 1
    assert found.doubts[0].startswith("Scores are farther")


def test_scores_that_mean_less_are_noticed_one_matured_stretch_later():
    priced = rows(meaning_from=50)
    assert expect(priced, 50).doubts == ()  # nothing shows it yet: this is what an estimate cannot see
    assert truth(priced, 50).label_rate < expect(priced, 50).label_rate.lower
    (doubt,) = expect(priced, 52).doubts
    assert doubt.startswith("Calibration broke on the last matured stretch (1970-02-20)")


def test_too_little_past_is_not_trusted():
    found = expect(rows(), 36)
    assert len(found.trials) < LEAST_TRIALS
    assert found.doubts == (f"Only {len(found.trials)} past stretches could be tried, 6 are needed.",)
    assert expect(rows(), 0) is None
    alone = expect(rows(), 31, trials=1)
    assert not math.isfinite(alone.utility_per_1000.upper)


def test_estimate_does_not_read_the_outcomes_it_stands_for():
    priced = rows()
    turned = Priced(
        priced.event_ns,
        priced.score,
        priced.if_positive,
        priced.if_negative,
        np.where(priced.event_ns >= 50 * DAY_NS, 1 - priced.label, priced.label),
    )

    def known(given):
        order = np.argsort(given.event_ns)
        columns = (given.event_ns, given.score, given.if_positive, given.if_negative, given.label)
        return estimate(
            Priced(*(column[order] for column in columns)),
            50 * DAY_NS,
            52 * DAY_NS,
            calibrate_days=28,
            trials=8,
        )

    assert known(priced) == known(turned)


def trial(error: float, distance: float = 0.05) -> Trial:
    expected, realised = Outlook(100.0, 0.8, 0.2), Outlook(100.0, 0.8, 0.2 + error)
    return Trial(0, DAY_NS, 100, expected, realised, distance)


@pytest.mark.parametrize(
    ("errors", "distance", "expected"),
    [
        ([0.01, -0.01, 0.02, -0.02, 0.01, 0.01], 0.04, []),
        ([0.01, -0.01, 0.02, -0.02, 0.01, 0.2], 0.04, ["Calibration"]),
        ([0.01, -0.01, 0.02, -0.02, 0.01, -0.2], 0.04, ["Calibration"]),
        ([0.2, -0.01, 0.02, -0.02, 0.01, 0.01], 0.04, []),  # broke once, long ago
        ([0.01, -0.01, 0.02, -0.02, 0.01, 0.01], 0.06, ["Scores"]),
        ([0.01, -0.01, 0.02, -0.02, 0.01, 0.2], 0.06, ["Calibration", "Scores"]),
        ([0.01] * 5, 0.04, ["Only"]),
    ],
)
def test_doubts(errors, distance, expected):
    found = doubts([trial(error) for error in errors], distance)
    assert [doubt.split()[0] for doubt in found] == expected
