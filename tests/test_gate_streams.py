"""The gate's procedure on small samples of the streams of docs/gate.md, and the page from its results."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.gate import exploration, nulls, speed
from benchmarks.gate.exploration import BETTER
from benchmarks.gate.page import PAGE, RESULT, render
from benchmarks.gate.procedures import passed, passed_at, passed_by_t
from benchmarks.gate.sections.labels import late
from benchmarks.gate.streams import bursts, fraud_gain, fraud_null, pennies, signs
from trainer.latency import block_shares, within_units


@pytest.mark.parametrize("draw", [fraud_null, pennies, lambda *size: signs(*size, 0.0)])
def test_what_gains_nothing_is_seldom_promoted_however_often_one_looks(draw):
    rows = draw(np.random.default_rng(1), 300, 3_000)
    assert passed(rows).mean() <= 0.06
    assert passed_by_t(rows).mean() > 0.15


def test_what_gains_is_promoted_in_time():
    rng = np.random.default_rng(2)
    assert np.mean(passed_at(signs(rng, 60, 20_000, 1.0)) <= 14_000) > 0.7
    assert np.mean(passed_at(fraud_gain(rng, 20, 80_000, 0.1)) <= 65_000) > 0.5


def test_a_gain_on_weekdays_promotes_at_no_weeks_end():
    found = nulls.seasonal(streams=250)
    assert found["gate"] <= 0.03
    assert found["any_day"] > 0.1


def test_rows_of_one_entity_are_no_units():
    found = nulls.in_clusters(streams=250)
    assert found["gate"] <= 0.07
    assert found["by_row"] > 0.4


def test_what_is_hidden_takes_as_many_times_the_rows_as_an_explored_one_stands_for():
    found = {one["share"]: one for one in exploration.until_promoted(6, replace(BETTER, rows=600_000))}
    assert found[1.0]["half"] < found[0.2]["half"] < found[0.1]["half"] < 600_000
    assert 2 < found[0.2]["half"] / found[1.0]["half"] < 10


def test_bursts_pass_where_rows_are_units_and_not_where_blocks_are():
    slow = bursts(np.random.default_rng(3), 100, 20_000, 0.01, 20)
    assert slow.mean() == pytest.approx(0.01, rel=0.3)

    def share(block):
        units = within_units(block_shares(slow, block))
        return (passed_at(units) <= units.shape[1]).mean()

    assert share(1) > 0.3
    assert share(200) == 0
    assert {one["block"] for one in speed.rows_to_flag()} == set(speed.BLOCKS)


def test_the_page_says_what_the_results_say():
    assert PAGE.read_text() == render(json.loads(RESULT.read_text()))


@pytest.mark.parametrize(("lost", "words"), [(0, "all 361 and"), (1, "360 of the 361 and")])
def test_the_page_says_how_many_of_the_late_controls_are_held(lost, words):
    found = json.loads(RESULT.read_text())["late"]
    first, *others = found["kinds"]
    kinds = [{**first, "naive": 361, "guarded": 361 - lost}, *others]
    assert f"with them, {words}" in late({**found, "kinds": kinds})


def test_no_sentence_of_the_page_has_a_gap():
    assert not re.search(r"[^|\s] {2,}[^|\s]", PAGE.read_text())
