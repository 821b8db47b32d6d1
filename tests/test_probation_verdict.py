"""What is decided about a champion on probation, and about a canary."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from made_evidence import POLICY, accounting, evidence, hidden, stakes

from trainer.betting import log_capital
from trainer.days import DAY_NS
from trainer.gate import Action
from trainer.latency import Quantile, Quantiles, Speed
from trainer.probation.facts import Probation, Reading
from trainer.probation.telling import findings_of
from trainer.probation.verdict import judge_canary, judge_champion
from trainer.waits import Excess, Waits


def speed(beyond=(0.0,) * 5, within=(9.0,) * 5):
    one = Quantile(20.0, 19.0, 21.0)
    return Speed(1_200, Quantile(15, 15, 15), 20, 300, within, beyond, Quantiles(one, one, one))


def reading(*units):
    return Reading("2024-02-01", len(units), 100.0, log_capital(np.array(units)))


EVEN, AHEAD = reading(0.1, -0.1), reading(*[0.3] * 30)
PROBATION = replace(POLICY, probation_days=12)
OVER = speed((9.0,) * 5)
VERDICTS = {
    "nothing matured": ([], {}, speed(), Action.HOLD, "0 of 12 days judged; no whole day has matured yet"),
    "a few days": ([EVEN], {"days": 3}, speed(), Action.HOLD, "3 of 12 days judged; e-value for the former"),
    "all days": ([EVEN], {"days": 12}, speed(), Action.RELEASE, "It passed its 12 days"),
    "the former earns more": ([AHEAD], {"days": 3}, speed(), Action.ROLL_BACK, "former champion earns more"),
    "it did at one time": ([AHEAD, EVEN], {"days": 12}, speed(), Action.ROLL_BACK, "earns more"),
    "too slow": ([], {}, OVER, Action.ROLL_BACK, "too slow where it serves: 300 of 1,200"),
    "speed not known": ([EVEN], {"days": 12}, None, Action.RELEASE, "It passed"),
    "too few scores": ([AHEAD], {"days": 12, "valued": 900}, speed(), Action.HOLD, "evidence is incomplete"),
    "a bound broken": ([AHEAD], {"days": 3, "worst": -101.0}, speed(), Action.HOLD, "bound does not hold"),
    "outcomes hidden": (
        [AHEAD],
        {"days": 3, "hidden": hidden(explored=0)},
        speed(),
        Action.HOLD,
        "Not identifiable",
    ),
    "a bound broken, on the last day": (
        [AHEAD],
        {"days": 3, "worst": -101.0, "matured": 29},
        speed(),
        Action.HOLD,
        "bound does not hold",
    ),
    "a bound broken to the end": (
        [AHEAD],
        {"days": 12, "worst": -101.0, "matured": 30},
        speed(),
        Action.LAPSE,
        "that the former champion would not have earned more was not shown. The policy's bound does not hold",
    ),
    "nobody scored to the end": (
        [],
        {"matured": 30},
        speed(),
        Action.LAPSE,
        "The probation was not settled within the 30 days that it may take",
    ),
    "its rows are gone": (
        [EVEN],
        {"days": 3, "cut": True},
        speed(),
        Action.LAPSE,
        "dropped from the log ([log] keep_days, keep_mb): that the former champion would",
    ),
    "its rows are gone, and it is too slow": ([], {"cut": True}, OVER, Action.ROLL_BACK, "too slow"),
    "too slow, too late to be judged": ([], {"matured": 30}, OVER, Action.ROLL_BACK, "too slow"),
    "the former earns more, on the last day": ([AHEAD], {"matured": 30}, speed(), Action.ROLL_BACK, "earns"),
}


def probation(readings, facts, fast, share=1.0):
    valued, days = facts.get("valued", 1200), facts.get("days", 0)
    judged = replace(accounting(1200), since_ns=0, until_ns=days * DAY_NS)
    judged = replace(judged, valued=valued, failures={**judged.failures, "shed": 1200 - valued})
    known = evidence(
        judged=judged,
        stakes=stakes(unit_worst=facts.get("worst", -40.0)),
        hidden=facts.get("hidden"),
        cut=facts.get("cut", False),
    )
    return Probation(
        share=share,
        share_since_ns=0,
        drawn_by=facts.get("by"),
        days=days,
        matured_days=facts.get("matured", days),
        evidence=known,
        readings=tuple(readings),
        speed=fast,
        waits=facts.get("waits"),
    )


@pytest.mark.parametrize("case", VERDICTS)
def test_every_verdict_on_a_champion(case):
    *found, action, words = VERDICTS[case]
    facts = probation(*found)
    decision = judge_champion(facts, PROBATION, decided_ns=1, actor="tester")
    assert decision.action is action
    assert words in " ".join(decision.reasons)
    assert decision.wanted == 20
    assert (decision.champion, decision.candidate) == (facts.newcomer, facts.former)


CANARY = replace(PROBATION, canary=(0.01, 0.1), canary_days=3)
SLOW_SO_FAR = speed(within=(0.0,) * 5)
OF_A_CANARY = {
    "a few days": ([EVEN], {"days": 2}, speed(), 0.01, Action.HOLD, "1.00% of the calls, 2 of 3 days judged"),
    "passed": (
        [EVEN],
        {"days": 3},
        speed(),
        0.01,
        Action.CANARY,
        "passed at 1.00% of the calls, and gets 10.00%",
    ),
    "passed all": ([EVEN], {"days": 3}, speed(), 0.1, Action.PROMOTE, "at last at 10.00% of the calls"),
    "champion better": ([AHEAD], {"days": 3}, speed(), 0.1, Action.REJECT, "The champion earns more"),
    "too slow": ([EVEN], {"days": 3}, OVER, 0.1, Action.REJECT, "too slow where it serves"),
    "not known fast": ([EVEN], {"days": 3}, SLOW_SO_FAR, 0.1, Action.HOLD, "not shown yet to be fast enough"),
    "no speed": ([EVEN], {"days": 3}, None, 0.1, Action.HOLD, "has not been measured"),
    "doubts": ([EVEN], {"days": 3, "valued": 900}, speed(), 0.1, Action.HOLD, "evidence is incomplete"),
    "doubts to the end": (
        [EVEN],
        {"days": 3, "valued": 900, "matured": 30},
        speed(),
        0.1,
        Action.REJECT,
        "was not settled within the 30 days",
    ),
    "nobody called to the end": ([], {"matured": 30}, None, 0.01, Action.REJECT, "0 of 3 days judged; no"),
    "its rows are gone": ([EVEN], {"days": 3, "cut": True}, speed(), 0.1, Action.REJECT, "The canary can no"),
}

NONE, MUCH = (0.0,) * 5, (9.0,) * 5


def waits(within=NONE, beyond=NONE):
    one = Quantile(900.0, 800.0, 1_000.0)
    of = Quantiles(one, one, one)
    return Waits(400, of, 7_600, of, Excess(5_000, 400, 40, 76, within, beyond))


PATIENT = replace(CANARY, canary_wait_budget_us=5_000)
OF_WAITS = {
    "waits longer": (
        {"waits": waits(beyond=MUCH)},
        Action.REJECT,
        "It keeps callers waiting: 40 of its 400 calls (10.00%) took more than 5,000 us in the queue and",
    ),
    "waits longer, of the champion's": (
        {"waits": waits(beyond=MUCH)},
        Action.REJECT,
        "and 76 of the champion's 7,600 (1.00%) at the same time; e-value 8.1e+03 against keeping to the",
    ),
    "waits longer, and nothing else is known": (
        {"waits": waits(beyond=MUCH), "days": 0, "valued": 900},
        Action.REJECT,
        "It keeps callers waiting",
    ),
    "an e-value that one share would have wanted": (
        {"waits": waits(beyond=(math.log(39.0),) * 5)},
        Action.HOLD,
        "not shown yet to wait no longer",
    ),
    "the error is divided by the shares": (
        {"waits": waits(beyond=(math.log(40.1),) * 5)},
        Action.REJECT,
        "40 ends it",
    ),
    "not shown": ({"waits": waits()}, Action.HOLD, "e-value 1.00 for keeping to the champion's share and 1%"),
    "shown": ({"waits": waits(within=MUCH)}, Action.PROMOTE, "It passed as canary"),
    "not measured": ({}, Action.HOLD, "how long its callers wait has not been measured"),
    "drawn by a field": (
        {"waits": replace(waits(), excess=None), "by": "hour"},
        Action.HOLD,
        "cannot be judged, because its calls are drawn by 'hour'",
    ),
}


@pytest.mark.parametrize("case", OF_WAITS)
def test_every_verdict_on_how_long_a_canarys_callers_wait(case):
    known, action, words = OF_WAITS[case]
    facts = probation([EVEN], {"days": 3, **known}, speed(), 0.1)
    decision = judge_canary(facts, PATIENT, decided_ns=1, actor="tester")
    assert decision.action is action
    assert words in " ".join(decision.reasons)
    assert Probation.from_json(json.loads(facts.canonical_json)) == facts


def test_without_a_budget_waits_are_shown_and_not_judged():
    facts = probation([EVEN], {"days": 3, "waits": replace(waits(), excess=None)}, speed(), 0.1)
    assert judge_canary(facts, CANARY, decided_ns=1, actor="tester").action is Action.PROMOTE


@pytest.mark.parametrize("case", OF_A_CANARY)
def test_every_verdict_on_a_canary(case):
    readings, known, fast, share, action, words = OF_A_CANARY[case]
    facts = probation(readings, known, fast, share)
    decision = judge_canary(facts, CANARY, decided_ns=1, actor="tester")
    assert decision.action is action
    assert words in " ".join(decision.reasons)
    assert (decision.champion, decision.candidate) == (facts.former, facts.newcomer)


def test_a_long_probation_may_take_all_its_days():
    facts = probation([EVEN], {"days": 31, "matured": 35}, speed())
    longer = replace(PROBATION, probation_days=40)
    assert judge_champion(facts, longer, decided_ns=1, actor="tester").action is Action.HOLD


def test_what_cannot_be_judged_is_told_until_it_can_or_is_over():
    def told(readings, known, share=1.0):
        facts = probation(readings, known, speed(), share)
        judge = judge_champion if facts.of_champion else judge_canary
        found = findings_of(facts, judge(facts, CANARY, decided_ns=1, actor="tester"), CANARY)
        return [(one.what, one.size, one.text) for one in found]

    broken = {"days": 3, "worst": -101.0, "matured": 5}
    ((what, size, text),) = told([EVEN], broken)
    assert (what, size) == ("unjudged", 5)
    assert "Champion t/champion@cccccccc cannot be judged, day 5 of the 30" in text
    assert "bound does not hold" in text
    ((what, _, text),) = told([EVEN], {**broken, "matured": 30})
    assert what == "lapsed"
    assert "t/champion@cccccccc stays champion, unproven. The probation was not settled" in text
    ((what, _, text),) = told([EVEN], broken, 0.01)
    assert what == "unjudged"
    assert text.startswith("Canary ")
    assert told([EVEN], {**broken, "matured": 30}, 0.01) == []
    assert told([EVEN], {"days": 3}) == []
    assert told([AHEAD], {"days": 3}) == []
