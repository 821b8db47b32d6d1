"""The gate: one test for each of its branches, and what must hold whatever it is given."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_evidence import (
    CANDIDATE,
    FLAT,
    GAINS,
    POLICY,
    accounting,
    bets,
    cycles,
    days,
    evidence,
    gained,
    hidden,
    judge,
    latency,
    stakes,
)

from trainer.budget import ErrorShare
from trainer.evidence import OpenFinding
from trainer.gate import Action, choose, decide, lacking
from trainer.interval import Day
from trainer.late_outcomes import LateOutcomes
from trainer.representative import Representation
from trainer.slices import Slice

DRIFTED = OpenFinding("drift", "amount", "shift", "Field 'amount' has shifted.")
SPARSE = Representation(131, 3_081, 0.44, 0.15, 0.3, 0.02)
LOSING = Slice("country", "PT", 80, -900.0, 0.0004, declared=False)
BRANCHES = {
    "rows dropped from the log": ({"cut": True}, Action.REJECT, "of its time in the shadow were dropped"),
    "earns more": ({}, Action.PROMOTE, "earns more than the champion: e-value "),
    "loses money": (
        gained(*(-gain for gain in GAINS)),
        Action.REJECT,
        "loses money against the champion: USD",
    ),
    "undecided": (gained(-80, 90, -70, 85), Action.HOLD, "Undecided: e-value "),
    "decides alike": ({"days": days(0, 0, changed=0)}, Action.HOLD, "nothing to gain"),
    "too slow": (
        {"latency": latency(over=400, within=FLAT, beyond=bets(5, 2.0), p99=160)},
        Action.REJECT,
        "too slow: 400 of 12,000 rows (3.33%) needed more than 150 us",
    ),
    "speed not shown": (
        {"latency": latency(over=90, within=bets(200, 0.01))},
        Action.HOLD,
        "not shown yet to be fast enough",
    ),
    "latency not measured": ({"latency": None}, Action.HOLD, "latency has not been measured"),
    "quarantined": ({"shadowed": accounting(1400, quarantined=3)}, Action.REJECT, "3 of 1,400"),
    "fails too often": (
        {"shadowed": accounting(1400, raised=10, crashed=5)},
        Action.REJECT,
        "failed on 1.07%",
    ),
    "fails seldom": ({"shadowed": accounting(1400, raised=10)}, Action.PROMOTE, "earns more"),
    "shed": ({"judged": accounting(1200, shed=13)}, Action.HOLD, "answered 98.92% of 1,200 rows (13 shed)"),
    "unaccounted": ({"judged": accounting(1200, unaccounted=13)}, Action.HOLD, "13 unaccounted"),
    "just enough coverage": ({"judged": accounting(1200, shed=12)}, Action.PROMOTE, "earns more"),
    "few labels": ({"labelled": 1139}, Action.HOLD, "94.92% of 1,200 matured rows"),
    "just enough labels": ({"labelled": 1140}, Action.PROMOTE, "earns more"),
    "frauds are heard of late": (
        {"late": LateOutcomes(240, 21, 960, 0)},
        Action.HOLD,
        "21 of 240 positive outcomes (8.75%) came later than 24 hours after the event, 5.00% may; declare",
    ),
    "good ones are heard of late": (
        {"late": LateOutcomes(240, 0, 960, 70)},
        Action.HOLD,
        "maturity is too short: 70 of 960 negative outcomes",
    ),
    "late by chance": ({"late": LateOutcomes(240, 20, 960, 60)}, Action.PROMOTE, "earns more"),
    "no outcome of a kind": ({"late": LateOutcomes(0, 0, 1200, 0)}, Action.PROMOTE, "earns more"),
    "no whole cycle": ({"cycles": ()}, Action.HOLD, "No whole cycle has matured"),
    "few rows": ({"joined": 499}, Action.HOLD, "499 of 500"),
    "few decisions differ": ({"days": days(*GAINS, changed=16)}, Action.HOLD, "192 of 200"),
    "few of them lost": ({"losses": 29}, Action.HOLD, "29 of 30"),
    "no shadow yet": (
        {"first_scored_ns": None, "days": (), "cycles": (), "joined": 0},
        Action.HOLD,
        "has not scored a row",
    ),
    "outcomes hidden": (
        {"hidden": hidden(without_chance=90)},
        Action.HOLD,
        "one of them is never seen to be wrong, and 90 of 100 hidden rows had no chance to be explored",
    ),
    "nothing explored yet": (
        {"hidden": hidden(explored=0, explored_labelled=0)},
        Action.HOLD,
        "Not identifiable yet: acting hides the outcome, and none of 100 such rows was explored so far",
    ),
    "nothing hidden after all": ({"hidden": hidden(hidden=0, explored=0)}, Action.PROMOTE, "It earns more"),
    "explored": (
        {"hidden": hidden()},
        Action.PROMOTE,
        "100 more hid their outcome, for which 9 explored ones",
    ),
    "explored without outcome": (
        {"hidden": hidden(explored_labelled=8)},
        Action.HOLD,
        "Too few outcomes of explored rows are known: 8 of 9, the policy wants 95.00%",
    ),
    "explored rows stand for more than the bound": (
        {"hidden": hidden(heaviest=25.0)},
        Action.HOLD,
        "an explored row stands for 25 and can lose USD 5, together more than its largest_unit_loss of 100",
    ),
    "differs only where it is hidden": (
        {"days": days(*GAINS, changed=0), "hidden": hidden()},
        Action.HOLD,
        "Too few decisions differ from the champion's: 0 of 200",
    ),
    "labels of some kinds only": (
        {"representation": SPARSE},
        Action.HOLD,
        "scores of 131 with and 3,081 without a label lie 0.44 apart",
    ),
    "labels of all kinds": (
        {"representation": replace(SPARSE, distance=0.09)},
        Action.PROMOTE,
        "earns more",
    ),
    "labels apart by chance": (
        {"representation": replace(SPARSE, distance=0.3, by_chance=0.31)},
        Action.PROMOTE,
        "earns more",
    ),
    "a row beyond the bound": (
        {"stakes": stakes(rows_beyond=1, row_most=1e9)},
        Action.HOLD,
        "could lose more than its largest_loss of USD 5",
    ),
    "a unit at risk beyond the bound": (
        {"stakes": stakes(unit_most=130.0, units_beyond=2)},
        Action.HOLD,
        "2 units put more at risk than its largest_unit_loss of USD 100, one of them 130",
    ),
    "a unit lost beyond the bound": (
        {"stakes": stakes(unit_most=130.0, unit_worst=-101.0)},
        Action.HOLD,
        "lost USD 101, more than its largest_unit_loss of 100, so its e-value proves nothing",
    ),
    "entities not independent": (
        {"stakes": stakes(entity="card", spread=9.0)},
        Action.HOLD,
        "vary 9.0 times as much as independent units of 'card' would make them",
    ),
    "entities independent": ({"stakes": stakes(entity="card", spread=1.1)}, Action.PROMOTE, "earns more"),
    "loses on a slice": ({"slices": (LOSING,)}, Action.HOLD, "loses on a slice: country PT: USD -900"),
    "loses on a slice by chance": (
        {"slices": (replace(LOSING, p=0.02),)},
        Action.PROMOTE,
        "earns more",
    ),
    "a finding is shown": ({"findings": (DRIFTED,)}, Action.PROMOTE, "Shown only: an open finding"),
    "many findings are counted": (
        {"findings": tuple(replace(DRIFTED, subject=name) for name in ("a", "b", "c", "d", "e"))},
        Action.PROMOTE,
        f"Shown only: 5 open findings of monitor '{DRIFTED.monitor}', about a, b, c and 2 more.",
    ),
    "deadline passed": (
        {**gained(-80, 90, -70, 85), "judged": accounting(1200, whole_days=30)},
        Action.REJECT,
        "not settled within the 30 days",
    ),
    "loses money on incomplete evidence": (
        {**gained(*(-gain for gain in GAINS)), "judged": accounting(1200, shed=200)},
        Action.HOLD,
        "incomplete",
    ),
    "loses money, on a slice too": (
        {**gained(*(-gain for gain in GAINS)), "slices": (LOSING,)},
        Action.REJECT,
        "loses money against the champion",
    ),
    "loses money, too slow to measure": (
        {**gained(*(-gain for gain in GAINS)), "latency": None},
        Action.REJECT,
        "loses money against the champion",
    ),
    "earns more, too slowly": (
        {"latency": latency(over=400, beyond=bets(5, 2.0))},
        Action.REJECT,
        "too slow",
    ),
}


@pytest.mark.parametrize(("changes", "action", "words"), BRANCHES.values(), ids=BRANCHES.keys())
def test_every_branch(changes, action, words):
    decision = judge(**changes)
    assert words in " ".join(decision.reasons)
    assert decision.action is action
    assert all(reason.endswith(".") for reason in decision.reasons)


def test_decision_says_what_it_rests_on():
    decision = judge()
    assert decision.evidence_digest == evidence().digest
    assert decision.policy_digest == POLICY.digest
    assert (decision.decided_ns, decision.actor) == (7, "tester")
    assert decision.wanted == 40
    assert decision.e_value == pytest.approx(np.mean([math.exp(one) for one in cycles(*GAINS)[-1].winning]))
    assert decision == judge()


def test_an_error_of_no_whole_percent_is_said_as_it_is():
    policy = replace(POLICY, error=0.025)
    (reason,) = decide(evidence(), policy, decided_ns=0, actor="tests").reasons
    assert "of an error of 2.5%" in reason
    assert "97.5% interval" in reason


def test_the_e_value_has_to_reach_what_the_budget_leaves():
    found = judge()
    enough = (found.e_value - 1) * POLICY.error - 1
    assert judge(share=ErrorShare(0, math.floor(enough))).action is Action.PROMOTE
    held = judge(share=ErrorShare(0, math.ceil(enough + 1)))
    assert held.action is Action.HOLD
    assert "more days would decide" in held.reasons[0]


def test_what_was_shown_once_and_then_lost_does_not_promote():
    gains = (*GAINS, *(-99.0 for _ in GAINS))
    at_its_best = judge(**gained(*GAINS))
    assert at_its_best.action is Action.PROMOTE
    assert judge(**gained(*gains)).action is not Action.PROMOTE


def test_what_lost_once_is_turned_down_though_it_recovers():
    losing = (*(-gain for gain in GAINS), *(99.0 for _ in range(40)))
    decision = judge(**gained(*losing))
    assert decision.action is Action.REJECT
    assert "up to 2024-01-" in decision.reasons[0]


def test_a_finding_vetoes_where_the_policy_says_so():
    strict = replace(POLICY, veto_monitors=("drift",))
    held = judge(strict, findings=(DRIFTED,))
    assert held.action is Action.HOLD
    assert "monitor 'drift' vetoes" in held.reasons[0]
    assert judge(strict, findings=(replace(DRIFTED, monitor="skew"),)).action is Action.PROMOTE


def test_a_candidate_that_may_lose_a_little_need_not_differ():
    cheaper = replace(POLICY, min_gain_per_1000=-50)
    decision = judge(cheaper, days=days(*GAINS, changed=0), losses=0)
    assert decision.action is Action.PROMOTE
    assert "at most 50 per 1,000 decisions less" in decision.reasons[0]


def test_projection_is_by_the_rate_of_the_bets():
    held = judge(**gained(30, 30, 30, 30))
    assert "about " in held.reasons[0]
    assert "more days would decide" in held.reasons[0]
    hopeless = judge(**gained(1, 1, 1, 1))
    assert "will not be promoted by the deadline, day 30" in hopeless.reasons[0]


def test_a_verdict_waits_only_for_what_it_would_use():
    assert lacking(evidence(joined=499), POLICY) == [
        "Too few rows have a score and a matured outcome: 499 of 500."
    ]
    assert lacking(evidence(labelled=1139), POLICY)[0].startswith("Too few outcomes are known")
    assert lacking(evidence(), POLICY) == []
    unexplored = hidden(explored=0, explored_labelled=0)
    assert lacking(evidence(hidden=unexplored), POLICY)[0].startswith("Not identifiable yet")
    assert lacking(evidence(hidden=hidden(without_chance=1)), POLICY) == []
    assert lacking(evidence(joined=499, shadowed=accounting(1400, quarantined=3)), POLICY) == []
    assert lacking(evidence(days=days(0, 0, changed=0), losses=0), POLICY) == []


def test_choose_takes_the_greatest_e_value_not_the_greatest_estimate():
    steady = judge(**gained(*(90.0 for _ in range(12))))
    wild = judge(
        **gained(*(400.0 if day % 2 else -60.0 for day in range(12))),
        candidate=replace(CANDIDATE, digest="b" * 64),
    )
    assert wild.gain.estimate > steady.gain.estimate
    assert wild.action is steady.action is Action.PROMOTE
    assert choose([wild, steady]) is max(steady, wild, key=lambda one: one.e_value)
    assert choose([judge(joined=0)]) is None


@given(
    gains=st.lists(st.floats(-100, 300), min_size=1, max_size=30),
    tried=st.integers(1, 10),
)
def test_action_agrees_with_the_bets(gains, tried):
    decision = judge(**gained(*gains), share=ErrorShare(0, tried))
    against = max(np.mean(np.exp(cycle.losing)) for cycle in cycles(*gains))
    if len(gains) * 100 < POLICY.min_changed:
        assert decision.action is not Action.PROMOTE
    else:
        wanted = 20 * (tried + 1)
        assert (decision.action is Action.PROMOTE) == (decision.e_value >= wanted and against < 20)


@given(money=st.lists(st.floats(-1e6, 1e6), min_size=0, max_size=40))
def test_copy_of_the_champion_is_never_promoted(money):
    same = tuple(Day(f"day {number}", 200, 0, one, one, 0.0) for number, one in enumerate(money))
    decision = judge(days=same, cycles=cycles(*(0.0 for _ in money)))
    assert decision.action is Action.HOLD
