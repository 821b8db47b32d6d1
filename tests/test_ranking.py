import math

import pytest

from trainer.evaluation.ranking import disagreements, rank, sentence
from trainer.interval import Interval

SURE = Interval(100.0, 50.0, 150.0, 0.95, 28)
UNSURE = Interval(100.0, -50.0, 250.0, 0.95, 28)


def test_ranking_leaves_out_what_has_no_figure():
    assert rank({"a": 1.0, "b": math.nan, "c": 2.0}) == ["c", "a"]


@pytest.mark.parametrize(
    ("figures", "gain", "expected"),
    [
        ({"a": 2.0, "b": 1.0}, SURE, ("a", "b", 100.0, True)),
        ({"a": 2.0, "b": 1.0}, UNSURE, ("a", "b", 100.0, False)),
        ({"a": 1.0, "b": 2.0}, SURE, None),
        ({"a": 1.0, "b": 1.0}, SURE, None),
        ({"a": 2.0}, SURE, None),
        ({"a": 2.0, "b": math.nan}, SURE, None),
        ({"a": 1.0, "b": 2.0}, Interval(-100.0, -150.0, -50.0, 0.95, 28), ("b", "a", 100.0, True)),
    ],
)
def test_pair_disagrees_when_the_money_says_otherwise(figures, gain, expected):
    found = disagreements("accuracy", figures, {("a", "b"): gain}, 0.05)
    if expected is None:
        assert found == []
        return
    (one,) = found
    assert (one.first, one.second, one.gain_per_1000.estimate, one.settled) == expected
    assert one.gain_per_1000.lower < one.gain_per_1000.upper


def test_many_pairs_are_judged_together():
    barely = Interval(100.0, 1.0, 199.0, 0.95, 28)
    gains = {(str(pair), "z"): barely for pair in range(5)}
    figures = {str(pair): 2.0 for pair in range(5)} | {"z": 1.0}
    alone = disagreements("hold-out", figures, {("0", "z"): barely}, 0.05)
    assert alone[0].settled
    assert not any(one.settled for one in disagreements("hold-out", figures, gains, 0.05))


def test_sentence_says_who_and_whether_it_is_settled():
    (one,) = disagreements("hold-out", {"a": 2.0, "b": 1.0}, {("a", "b"): SURE}, 0.05, snapshot="5" * 64)
    assert sentence(one, "USD") == (
        "The hold-out of 55555555 puts a above b, which on the recent slice earned USD +100 [+50; +150] per "
        "1,000 more (settled)."
    )
