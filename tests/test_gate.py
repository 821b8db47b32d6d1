import doctest
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import ModelId
from trainer import interval
from trainer.days import DAY_NS
from trainer.evidence import FAILURE_KINDS, Accounting, Evidence, Latency, Quality, Quantiles, Query
from trainer.gate import Action, Policy, choose, decide
from trainer.interval import Day, gain_interval

POLICY = Policy(latency_budget_us=150, min_days=5, min_rows=500, latency_rows=500)
CHAMPION, CANDIDATE = ModelId("t", "champion", "c" * 64), ModelId("t", "candidate", "a" * 64)


def days(*gains: float, decisions=200, changed=20) -> tuple[Day, ...]:
    """One day for each gain per 1,000 decisions."""
    return tuple(
        Day(f"2024-01-{number:02}", decisions, changed, 0.0, gain * decisions / 1000, gain * decisions / 1000)
        for number, gain in enumerate(gains, 1)
    )


def accounting(served=1200, valued=None, **failures) -> Accounting:
    valued = served - sum(failures.values()) if valued is None else valued
    return Accounting(0, 6 * DAY_NS, served, valued, {**dict.fromkeys(FAILURE_KINDS, 0), **failures})


def evidence(**changes) -> Evidence:
    """Complete evidence of a candidate that earns about 100 more."""
    quantiles = Quantiles(20, 60, 80)
    quality = Quality(0.0, 0.1, 0.8, 0.7)
    sound = Evidence(
        task="t",
        champion=CHAMPION,
        candidate=CANDIDATE,
        query=Query(10 * DAY_NS, DAY_NS, 28),
        signature_digest="s",
        costs_digest="m",
        currency="USD",
        candidates_tried=1,
        first_scored_ns=0,
        trained_until_ns=None,
        shadowed=accounting(1400),
        judged=accounting(1200),
        labelled=1200,
        joined=1200,
        days=days(80, 90, 100, 110, 120, 100),
        champion_quality=quality,
        candidate_quality=quality,
        latency=Latency(1400, quantiles, quantiles, quantiles, quantiles),
    )
    return replace(sound, **changes)


def judge(policy=POLICY, **changes):
    return decide(evidence(**changes), policy, decided_ns=7, actor="tester")


def slow(p99_us, rows=1400):
    good = Quantiles(20, 60, 80)
    return Latency(rows, good, Quantiles(100, p99_us, 2 * p99_us), good, good)


BRANCHES = {
    "earns more": ({}, Action.PROMOTE, "earns more than the champion: USD +100 per 1,000"),
    "loses money": ({"days": days(-80, -90, -100, -110, -120)}, Action.REJECT, "loses money"),
    "undecided": ({"days": days(-80, 90, -100, 110, 120)}, Action.HOLD, "Undecided: USD +28"),
    "decides alike": ({"days": days(0, 0, 0, 0, 0, changed=0)}, Action.HOLD, "nothing to gain"),
    "too slow": ({"latency": slow(151)}, Action.REJECT, "p99 CPU time 151 us over 1,400 rows, budget 150 us"),
    "as slow as allowed": ({"latency": slow(150)}, Action.PROMOTE, "earns more"),
    "slow, but hardly measured": ({"latency": slow(900, rows=499)}, Action.HOLD, "latency: 499 of 500"),
    "latency not measured": ({"latency": None}, Action.HOLD, "latency: 0 of 500"),
    "quarantined": ({"shadowed": accounting(1400, quarantined=3)}, Action.REJECT, "3 of 1,400"),
    "fails too often": (
        {"shadowed": accounting(1400, raised=10, crashed=5)},
        Action.REJECT,
        "failed on 1.07%",
    ),
    "fails seldom": ({"shadowed": accounting(1400, raised=10)}, Action.PROMOTE, "earns more"),
    "failures, but few rows": (
        {"shadowed": accounting(100, raised=50), "judged": accounting(100, raised=50), "joined": 50},
        Action.HOLD,
        "Too few rows have a score",
    ),
    "shed": ({"judged": accounting(1200, shed=13)}, Action.HOLD, "answered 98.92% of 1,200 rows (13 shed)"),
    "unaccounted": ({"judged": accounting(1200, unaccounted=13)}, Action.HOLD, "13 unaccounted"),
    "just enough coverage": ({"judged": accounting(1200, shed=12)}, Action.PROMOTE, "earns more"),
    "few labels": ({"labelled": 1139}, Action.HOLD, "94.92% of 1,200 matured rows"),
    "just enough labels": ({"labelled": 1140}, Action.PROMOTE, "earns more"),
    "few days": ({"days": days(90, 100, 110, 100)}, Action.HOLD, "days have matured: 4 of 5"),
    "few rows": ({"joined": 499}, Action.HOLD, "499 of 500"),
    "no shadow yet": ({"first_scored_ns": None, "days": ()}, Action.HOLD, "has not scored a row"),
    "nothing matured": ({"days": (), "judged": accounting(0), "joined": 0}, Action.HOLD, "0 of 5"),
    "loses money on incomplete evidence": (
        {"days": days(-90, -100, -110, -100, -90), "judged": accounting(1200, shed=200)},
        Action.HOLD,
        "incomplete",
    ),
    "earns more, too slowly": (
        {"latency": slow(424), "days": days(900, 901, 902, 903, 904)},
        Action.REJECT,
        "too slow",
    ),
}


@pytest.mark.parametrize(("changes", "action", "words"), BRANCHES.values(), ids=BRANCHES.keys())
def test_every_branch(changes, action, words):
    decision = judge(**changes)
    assert decision.action is action
    assert words in " ".join(decision.reasons)
    assert all(reason.endswith(".") for reason in decision.reasons)


def test_decision_says_what_it_rests_on():
    decision = judge()
    assert decision.evidence_digest == evidence().digest
    assert decision.policy_digest == POLICY.digest
    assert (decision.decided_ns, decision.actor) == (7, "tester")
    assert decision == judge()


def test_least_gain_wanted_must_be_exceeded_by_the_lower_bound():
    lower = judge().gain.lower
    assert judge(replace(POLICY, min_gain_per_1000=lower - 0.01)).action is Action.PROMOTE
    held = judge(replace(POLICY, min_gain_per_1000=lower))
    assert held.action is Action.HOLD
    assert "about 1 more day would decide" in held.reasons[0]


def test_gain_smaller_than_wanted_has_no_projection():
    held = judge(replace(POLICY, min_gain_per_1000=1000))
    assert held.action is Action.HOLD
    assert "smaller than the policy wants" in held.reasons[0]


def test_projection_counts_days_by_the_square_of_the_half_width():
    unit = days(-80, 90, -100, 110, 120)
    gain = gain_interval(unit, 0.95)
    needed = math.ceil(5 * ((gain.upper - gain.lower) / 2 / gain.estimate) ** 2)
    roomy = judge(replace(POLICY, slice_days=needed), days=unit)
    assert f"about {needed - 5} more days would decide" in roomy.reasons[0]
    tight = judge(replace(POLICY, slice_days=needed - 1), days=unit)
    assert f"it needs {needed} days, more than the {needed - 1} the policy looks at" in tight.reasons[0]


def test_candidates_share_one_error_budget():
    assert POLICY.confidence_each(1) == pytest.approx(0.95)
    assert POLICY.confidence_each(5) == pytest.approx(0.99)
    unit = days(10, 90, 100, 110, 120, 30)
    assert judge(days=unit).action is Action.PROMOTE
    among_many = judge(days=unit, candidates_tried=50)
    assert among_many.action is Action.HOLD
    assert among_many.gain.confidence == pytest.approx(0.999)


def test_choose_takes_the_greatest_lower_bound_not_the_greatest_estimate():
    steady = judge(days=days(98, 99, 100, 101, 102))
    wild = judge(days=days(100, 150, 120, 160, 220), candidate=replace(CANDIDATE, digest="b" * 64))
    assert wild.gain.estimate > steady.gain.estimate
    assert wild.action is steady.action is Action.PROMOTE
    assert choose([wild, steady]) is steady
    assert choose([judge(joined=0)]) is None


@given(
    units=st.lists(
        st.tuples(st.integers(1, 10_000), st.floats(-1e6, 1e6), st.booleans()), min_size=0, max_size=40
    ),
    tried=st.integers(1, 20),
)
def test_copy_of_the_champion_is_never_promoted(units, tried):
    same = tuple(
        Day(f"day {number}", decisions, 0, money, money, 0.0)
        for number, (decisions, money, _) in enumerate(units)
    )
    decision = judge(days=same, candidates_tried=tried)
    assert decision.action is Action.HOLD


@given(
    gains=st.lists(st.floats(-1e3, 1e3), min_size=5, max_size=30),
    tried=st.integers(1, 10),
)
def test_action_agrees_with_the_interval(gains, tried):
    decision = judge(days=days(*gains), candidates_tried=tried)
    assert (decision.action is Action.PROMOTE) == (decision.gain.lower > 0)
    assert (decision.action is Action.REJECT) == (decision.gain.upper < 0)


def test_interval_matches_the_textbook_on_equal_days():
    gain = gain_interval(days(10, 20, 30, 40), 0.9)
    half = 2.353363 * 12.909944 / 2  # t with 3 degrees of freedom, sample deviation over the root of 4
    assert gain.estimate == pytest.approx(25)
    assert gain.lower == pytest.approx(25 - half, rel=1e-6)
    assert gain.upper == pytest.approx(25 + half, rel=1e-6)


def test_interval_weighs_days_by_their_decisions():
    small, large = days(100, decisions=10)[0], days(10, decisions=990)[0]
    assert gain_interval([small, large], 0.95).estimate == pytest.approx(10.9)


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(1000):
        sizes = rng.integers(100, 400, 14)
        gains = rng.normal(7.0, 40.0, 14) * sizes / 1000
        unit = [Day(str(n), int(s), 1, 0.0, g, g) for n, (s, g) in enumerate(zip(sizes, gains, strict=True))]
        gain = gain_interval(unit, 0.9)
        covered += gain.lower <= 7 <= gain.upper
    assert 0.86 < covered / 1000 < 0.93


def test_interval_of_nothing_promises_nothing():
    empty = gain_interval([], 0.95)
    assert math.isnan(empty.estimate)
    assert (empty.lower, empty.upper) == (-math.inf, math.inf)


def test_documented_examples_hold():
    assert doctest.testmod(interval).failed == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"latency_budget_us": 0}, "latency_budget_us"),
        ({"confidence": 1.0}, "confidence"),
        ({"min_days": 1}, "min_days"),
        ({"slice_days": 4}, "slice_days"),
        ({"min_coverage": 0}, "min_coverage"),
        ({"min_labelled": 1.1}, "min_labelled"),
        ({"min_gain_per_1000": -1}, "min_gain"),
        ({"min_rows": 0}, "min_rows"),
    ],
)
def test_policy_out_of_range_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(POLICY, **change)


def test_policy_digest_follows_its_figures():
    assert POLICY.digest == replace(POLICY).digest
    assert POLICY.digest != replace(POLICY, min_days=6).digest
