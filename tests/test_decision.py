import numpy as np
import pytest
from export_rows import BLOCKS, COSTS, FULL, LABEL, SIGNATURE, export, run
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from sidecar.signature import Blocks, Field, Signature
from trainer.decision import NEVER, ScoreThreshold, UtilityRule, choose_threshold
from trainer.utility import Amount, CostTable

ONE = Signature((Field("stake"),))


def table(gain=None, loss=None):
    return CostTable(gain or Amount(2), loss or Amount(-1), Amount(), Amount(), "USD", "1")


@pytest.mark.parametrize(
    "costs",
    [
        COSTS,
        table(),
        table(gain=Amount(-20, per={"stake": 1})),
        table(loss=Amount(0, per={"pressure": -0.001}, missing={"pressure": 1})),
        table(gain=Amount(-1), loss=Amount(2)),
    ],
    ids=["several", "constant", "gain", "loss", "acts on the unlikely"],
)
def test_the_graph_acts_when_acting_is_expected_to_earn_more(costs):
    pipeline = export(FULL, LogisticRegression(), UtilityRule(SIGNATURE, costs)).files[2]
    blocks = BLOCKS.take(slice(None))
    blocks.numbers[:5, 1] = 5000  # out of bounds, so missing to the costs as well
    _, score, decision = run(pipeline, blocks)
    if_positive, if_negative = costs.stakes(SIGNATURE, blocks)
    expected = score * if_positive + (1 - score.astype(np.float64)) * if_negative
    clear = np.abs(expected) > 1e-4  # nearer to zero, float32 may round to either side
    assert clear.mean() > 0.99
    assert np.array_equal(decision[clear], expected[clear] > 0)
    assert 0 < decision.mean() < 1


def test_the_graph_passes_when_nothing_is_to_be_gained():
    same = Amount(1, per={"stake": 1})
    costs = CostTable(same, same, same, same, "USD", "1")
    _, _, decision = run(export(FULL, LogisticRegression(), UtilityRule(SIGNATURE, costs)).files[2])
    assert not decision.any()


def test_the_graph_acts_from_the_threshold_upwards():
    _, score, _ = run(export(FULL, LogisticRegression(), ScoreThreshold(0.5)).files[2])
    at = float(score[17])
    _, _, decision = run(export(FULL, LogisticRegression(), ScoreThreshold(at)).files[2])
    assert decision[17]
    assert np.array_equal(decision, score >= np.float32(at))


@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans(), st.integers(-3, 3)), min_size=1, max_size=40)
)
def test_no_other_threshold_earns_more(rows):
    score = np.array([row[0] for row in rows], np.float32)
    label = np.array([row[1] for row in rows], np.float64)
    blocks = Blocks(
        np.array([[row[2]] for row in rows], np.float32),
        np.empty((len(rows), 0), np.int64),
        np.empty((len(rows), 0), object),
    )
    costs = table(gain=Amount(1, per={"stake": 1}), loss=Amount(-1))

    def earned(threshold):
        return costs.utility(ONE, blocks, score >= np.float32(threshold), label).sum()

    chosen = choose_threshold(ONE, costs, blocks, label, score, weight=np.ones(len(label)))
    best = max(earned(threshold) for threshold in (*score.tolist(), 0.0, NEVER))
    assert earned(chosen.value) == best


def test_a_threshold_lies_between_the_scores_it_parts():
    score = np.array([0.9, 0.8, 0.4, 0.2], np.float32)
    blocks = Blocks(np.zeros((4, 1), np.float32), np.empty((4, 0), np.int64), np.empty((4, 0), object))
    chosen = choose_threshold(ONE, table(), blocks, np.array([1.0, 1.0, 0.0, 0.0]), score, weight=np.ones(4))
    assert chosen.value == pytest.approx(0.6)


def test_a_row_that_stands_for_several_counts_as_often():
    score = np.array([0.9, 0.8, 0.4], np.float32)
    blocks = Blocks(np.zeros((3, 1), np.float32), np.empty((3, 0), np.int64), np.empty((3, 0), object))
    label = np.array([1.0, 0.0, 1.0])
    once, often = (
        choose_threshold(ONE, table(), blocks, label, score, weight=np.array([1.0, 1.0, times]))
        for times in (0.25, 1.0)
    )
    assert (once.value > 0.8, often.value < 0.4) == (True, True)


def test_acting_never_and_always_are_possible():
    blocks, score = BLOCKS, np.linspace(0, 1, len(LABEL)).astype(np.float32)
    never = choose_threshold(
        SIGNATURE, table(Amount(-1), Amount(-1)), blocks, LABEL, score, weight=np.ones(len(LABEL))
    )
    always = choose_threshold(
        SIGNATURE, table(Amount(1), Amount(1)), blocks, LABEL, score, weight=np.ones(len(LABEL))
    )
    assert (never.value, always.value) == (NEVER, 0.0)
    assert np.float32(1) < np.float32(NEVER)
