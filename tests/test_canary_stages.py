"""A canary through the commands: its shares, its end, and its promotion."""

from pathlib import Path

import pytest
from promoted_home import judged, states, with_policy

from sidecar.lifecycle import ModelState, Reason


@pytest.fixture
def in_canary(tmp_path):
    """The task with a canary of two shares."""
    return with_policy(tmp_path / "in_canary.py", "canary=(0.5, 0.7), canary_days=2")


def canary(home):
    with home.registry as registry:
        return registry.deployment().canary


def test_a_candidate_that_earned_it_is_canary_first_and_then_champion(home, in_canary):
    with home.registry as registry:  # the line is champion again, and the trees are in its shadow
        registry.roll_back(Reason("tester", "to see"))
    home.json("shadow", home.trees, "--override", "--why", "to see")
    home.live(5)
    decided = home.json("decide", in_canary, "--promote")
    assert (decided["promoted"], states(home)[home.trees]) == (False, ModelState.CANARY)
    assert "the canary, with 50.00% of the calls" in decided["ending"]
    assert canary(home).share == 0.5
    home.live(2)
    assert judged(home, in_canary)["action"] == "hold"  # the last day has not matured
    home.live(2)
    assert "not shown yet to be fast enough where it serves" in judged(home, in_canary)["reasons"][0]
    home.live(3)
    found = judged(home, in_canary)
    assert (found["action"], found["facts"]["days"]) == ("canary", 5)
    assert found["facts"]["evidence"]["judged"]["served"] == pytest.approx(0.5 * 6 * 200, rel=0.2)
    assert canary(home).share == 0.7
    home.live(1)
    assert judged(home, in_canary)["facts"]["days"] == 0
    home.live(3)
    found = judged(home, in_canary)
    assert (found["action"], found["done"]) == ("promote", True)
    assert (states(home)[home.trees], states(home)[home.line]) == (ModelState.CHAMPION, ModelState.STANDBY)
    for number in ("1", "2", "3"):
        assert home.json("replay", in_canary, number)["same"]
    assert home.command("audit", "--verify").exit_code == 0


def test_a_canary_that_earns_less_is_rejected_by_itself(home, in_canary):
    home.json("shadow", home.again)
    home.live(1)
    home.json("canary", home.again, "--share", "0.5", "--why", "we cannot wait")
    home.live(9)
    by_newcomer = {one["candidate"]["digest"]: one for one in home.json("probation", in_canary)["probation"]}
    assert by_newcomer[home.again]["action"] == "reject"
    assert states(home)[home.again] is ModelState.REJECTED
    assert canary(home) is None


def test_a_canary_is_set_and_ended_by_hand(home):
    home.json("shadow", home.again)
    assert home.json("canary", home.again, "--share", "0.25", "--why", "to see")["share"] == 0.25
    assert "give --share or --end" in home.command("canary", home.again, "--why", "x").output
    assert canary(home).by is None
    again = home.error("canary", home.again, "--share", "0.25", "--why", "to begin anew")
    assert "is the canary already, with 25.00% of the calls" in again
    by_hour = ("canary", home.again, "--share", "0.3", "--by", "hour", "--why", "to see")
    assert "30.00% of the calls, drawn by hour" in home.command(*by_hour).stdout.replace("\n", "")
    assert canary(home).by == "hour"
    refused = home.error("canary", home.again, "--share", "0.3", "--by", "amount", "--why", "to see")
    assert "drawn by 'amount', which is not a text or integer field" in refused
    home.json("canary", home.again, "--end", "--why", "seen")
    assert states(home)[home.again] is ModelState.REJECTED
    assert "cannot become canary" in home.error("canary", home.line, "--share", "0.1", "--why", "x")


def test_another_champion_ends_the_canary(home):
    home.json("shadow", home.again)
    home.json("canary", home.again, "--share", "0.25", "--why", "to see")
    home.json("rollback", "--why", "never mind")
    assert (states(home)[home.again], canary(home)) == (ModelState.SHADOW, None)


def test_a_decision_to_promote_leads_to_the_policys_canary_by_hand_too(home, in_canary):
    home.json("rollback", "--why", "to see")
    home.json("shadow", home.trees, "--override", "--why", "to see")
    home.live(5)
    by_hour = Path(in_canary)
    by_hour.write_text(by_hour.read_text().replace("canary_days=2", "canary_days=2, canary_by='hour'"))
    home.json("decide", in_canary)
    home.json("promote", home.trees, "--why", "it earned it")
    assert states(home)[home.trees] is ModelState.CANARY
    assert (canary(home).share, canary(home).by) == (0.5, "hour")
    home.json("shadow", home.trees)  # where it is already, in a way
    assert states(home)[home.trees] is ModelState.CANARY


def test_days_as_canary_are_no_days_of_probation(home, short):
    home.json("shadow", home.again)
    home.json("canary", home.again, "--share", "0.5", "--why", "to see")
    home.live(5)
    home.json("promote", home.again, "--override", "--why", "we are sure")
    found = judged(home, short)
    assert (found["action"], found["facts"]["days"]) == ("hold", 0)
