"""The pure parts of the managed year: who decides when, and what one earns beside another."""

import numpy as np
import pytest
from reigns import Reign, ahead, best_by, decisions_under, earned, reigning

from trainer.days import DAY_NS
from trainer.interval import Day, gain_interval
from trainer.offline import FitReport

REIGNS = [Reign(0, "first"), Reign(10, "second"), Reign(20, "third")]


def report(money: float, accuracy: float) -> FitReport:
    return FitReport(
        rows=1,
        accuracy=accuracy,
        auc=0.5,
        log_loss=1.0,
        brier=0.2,
        ece=0.0,
        acted=0.1,
        utility_per_1000=money,
        utility_lower=money,
        utility_upper=money,
        cpu_us_p50=1.0,
        cpu_us_p99=1.0,
        bytes=1,
    )


def test_a_reign_begins_at_its_moment_and_lasts_until_the_next():
    event_ns = np.array([0, 9, 10, 19, 20, 10**6])
    assert reigning(REIGNS, event_ns).tolist() == [0, 0, 1, 1, 2, 2]


def test_each_version_decides_on_the_rows_of_its_reign_alone():
    asked = {}

    def decide(version, rows):
        asked[version] = rows.tolist()
        return np.full(len(rows), version == "third")

    event_ns = np.array([5, 6, 25, 26])
    assert decisions_under(REIGNS, event_ns, decide).tolist() == [False, False, True, True]
    assert asked == {"first": [0, 1], "third": [2, 3]}


def test_the_newest_is_chosen_by_one_figure_whatever_the_other_says():
    reports = {"line": report(100, 0.9), "trees": report(300, 0.8), "same": report(300, 0.9)}
    assert best_by(reports, lambda one: one.utility_per_1000) == "trees"
    assert best_by(reports, lambda one: one.accuracy) == "line"


def test_the_paired_difference_is_the_interval_that_the_gate_shows():
    rng = np.random.default_rng(0)
    event_ns = np.sort(rng.integers(0, 30 * DAY_NS, 3_000))
    day = event_ns // DAY_NS
    shared = 100 * rng.normal(size=30)[day]  # good and bad days, the same for both
    first, second = shared + rng.normal(size=3_000) + 1, shared + rng.normal(size=3_000)
    days = [
        Day("", int(np.sum(day == one)), 0, 0.0, 0.0, float((first - second)[day == one].sum()))
        for one in range(30)
    ]
    found = ahead(first, second, event_ns)
    wanted = gain_interval(days, 0.95)
    assert (found.estimate, found.lower) == pytest.approx((wanted.estimate, wanted.lower))
    assert found.lower > 0
    alone = earned(first, event_ns)
    assert alone.upper - alone.lower > 10 * (found.upper - found.lower)  # not paired, the days drown it
