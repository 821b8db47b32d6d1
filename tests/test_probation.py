"""A champion on probation: measured, judged, rolled back or released."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_task
from small_home import Home
from small_log import CHAMPION, model, oracle, outcomes, scored, served, write_log
from small_task import START_NS, task, traffic
from test_gate import POLICY, accounting, evidence, hidden, stakes

from sidecar.lifecycle import ModelState, Reason
from sidecar.store.reader import LogReader
from trainer.betting import BETS, log_capital
from trainer.days import DAY_NS
from trainer.gate import Action
from trainer.latency import Quantile, Quantiles, Speed
from trainer.probation.facts import Probation, Reading
from trainer.probation.measure import measure_probation
from trainer.probation.verdict import judge_canary, judge_champion
from trainer.report import waits_view

TASK = str(Path(small_task.__file__))
FORMER = model("f")
DAYS = 6
LIVE = traffic(30, DAYS, rows_a_day=100)
ROWS = np.arange(DAYS * 100)
WHOLE = np.count_nonzero(LIVE.event_ns < START_NS + 35 * DAY_NS)
"""Rows of the days that have ended; they have matured too."""


def log(path, *, of_former=None):
    """The new champion is wrong on three rows in ten, the former one on one in ten."""
    new, former = oracle(LIVE, wrong=0.3, seed=1), oracle(LIVE, wrong=0.1, seed=2)
    return write_log(
        path / "log.db",
        [served(LIVE, new, ROWS), *(of_former or [])],
        [scored(LIVE, former, ROWS, FORMER)],
        [outcomes(LIVE)],
    )


def measured(path, *, of=task, **options):
    with LogReader(path) as reader:
        return measure_probation(of, reader, CHAMPION, FORMER, **options)


def with_policy(**changes):
    return replace(task, policy=replace(task.policy, **changes))


def test_readings_are_bets_on_the_former_champion_begun_anew_each_day(tmp_path):
    found = measured(log(tmp_path), of=with_policy(probation_days=10))
    amount = LIVE.columns["amount"].astype(np.float32).astype(float)
    worth = np.where(LIVE.label == 1, 0.5 * amount - 20, -20.0)
    new, former = (oracle(LIVE, wrong=w, seed=s) > 0.5 for w, s in ((0.3, 1), (0.1, 2)))
    gain = np.minimum(worth * former - worth * new, 80.0)
    day, hour = (LIVE.event_ns - START_NS) // DAY_NS - 30, LIVE.columns["hour"]
    units = [
        [gain[(day == number) & (hour == one)].sum() / 600 for one in range(24)] for number in range(DAYS - 1)
    ]
    assert len(found.readings) == DAYS - 1
    for last, reading in enumerate(found.readings):
        for bet, logged in zip(BETS, reading.capital, strict=True):
            parts = [
                math.prod(1 + bet * one for number in range(begin, last + 1) for one in units[number])
                for begin in range(last + 1)
            ]
            assert math.exp(logged) == pytest.approx((sum(parts) + 10 - last - 1) / 10, rel=1e-6)
    assert found.readings[-1].gain == pytest.approx(600 * sum(map(sum, units)), rel=1e-6)


def test_rows_received_before_do_not_count(tmp_path):
    path = log(tmp_path)
    later = measured(path, received_since_ns=START_NS + 33 * DAY_NS)
    assert later.evidence.judged.since_ns == START_NS + 33 * DAY_NS
    assert len(later.readings) == 2
    assert len(measured(path).readings) == 5


def test_days_at_a_share_begin_after_the_day_on_which_it_was_given(tmp_path):
    path = log(tmp_path)
    found = measured(path, share=0.5, share_since_ns=START_NS + 32 * DAY_NS + 1)
    assert (found.days, found.evidence.judged.days) == (2, 5)
    assert measured(path, share=0.5).days == 5


def test_stretches_of_several_days_are_read_at_their_end(tmp_path):
    found = measured(log(tmp_path), of=with_policy(rollback_every_days=2, probation_days=4))
    assert [reading.until for reading in found.readings] == ["2024-02-01", "2024-02-03"]


def test_a_champion_that_may_cost_a_little_may_do_so_on_probation(tmp_path):
    path = log(tmp_path)
    strict, lenient = measured(path), measured(path, of=with_policy(min_gain_per_1000=-5_000))
    assert lenient.readings[-1].gain == pytest.approx(strict.readings[-1].gain - 5 * WHOLE)


def test_facts_survive_json_and_do_not_depend_on_when_they_are_read(tmp_path):
    path = log(tmp_path)
    found = measured(path)
    assert Probation.from_json(json.loads(found.canonical_json)) == found
    assert measured(path).digest == found.digest
    assert measured(path, as_of_ns=START_NS + 34 * DAY_NS).digest != found.digest


def test_a_budget_in_multiples_is_of_what_the_champion_takes_beside_its_canary(tmp_path):
    beside = traffic(30, 6, rows_a_day=100, seed=9)
    other = served(beside, oracle(beside, wrong=0.1, seed=3), np.arange(600), FORMER, cpu_ns=5_000)
    multiples = with_policy(latency_budget_us=None, latency_budget_times=2.0)
    found = measured(log(tmp_path, of_former=[other]), of=multiples, share=0.5).speed
    assert found.budget.us == pytest.approx(10.0)
    assert (found.rows, found.over) == (WHOLE, WHOLE)
    # A champion has nobody beside it, and what was before may have been other traffic.
    assert measured(log(tmp_path / "alone"), of=multiples).speed is None
    assert measured(log(tmp_path / "fixed")).speed.over == 0


def test_how_long_callers_waited_is_shown_beside_the_champions_of_the_same_days(tmp_path):
    rows = traffic(30, DAYS, rows_a_day=100, seed=9)
    score = oracle(rows, wrong=0.1, seed=3)
    queue_ns = np.where(ROWS % 50, 10_000, 90_000)
    beside = replace(served(rows, score, ROWS, FORMER, cpu_ns=5_000), queue_ns=queue_ns)
    earlier = traffic(20, 5, rows_a_day=100, seed=8)
    before = served(earlier, oracle(earlier, wrong=0.1, seed=3), np.arange(500), FORMER, cpu_ns=500_000)
    path = log(tmp_path, of_former=[beside, before])
    found = measured(path, share=0.5)
    ended = np.count_nonzero(rows.event_ns < START_NS + 35 * DAY_NS)
    assert (found.waits.rows, found.waits.beside_rows) == (WHOLE, ended)
    # The newcomer's runs took 40 us and nobody queued; the champion's took 10 us, after 10 us or 90.
    assert found.waits.waited.p50.us == found.waits.waited.p999.us == 40
    one = found.waits.beside
    assert (one.p50.us, one.p99.us, one.p999.us) == (20, 100, 100)
    assert Probation.from_json(json.loads(found.canonical_json)) == found
    assert measured(path).waits is None
    words = waits_view(found.waits, ("canary", "champion")).plain
    assert f"canary 40 / 40 [40; 40] / 40 over {WHOLE} rows, champion 20 / 100" in words
    later = measured(path, share=0.5, received_since_ns=START_NS + 33 * DAY_NS).waits
    assert later.beside_rows < ended


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
}


def probation(readings, facts, fast, share=1.0):
    valued, days = facts.get("valued", 1200), facts.get("days", 0)
    judged = replace(accounting(1200), since_ns=0, until_ns=days * DAY_NS)
    judged = replace(judged, valued=valued, failures={**judged.failures, "shed": 1200 - valued})
    known = evidence(
        judged=judged,
        stakes=stakes(unit_worst=facts.get("worst", -40.0)),
        hidden=facts.get("hidden"),
    )
    return Probation(share, 0, days, known, tuple(readings), fast)


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
}


@pytest.mark.parametrize("case", OF_A_CANARY)
def test_every_verdict_on_a_canary(case):
    readings, known, fast, share, action, words = OF_A_CANARY[case]
    facts = probation(readings, known, fast, share)
    decision = judge_canary(facts, CANARY, decided_ns=1, actor="tester")
    assert decision.action is action
    assert words in " ".join(decision.reasons)
    assert (decision.champion, decision.candidate) == (facts.former, facts.newcomer)


@pytest.fixture(scope="module")
def promoted_home(tmp_path_factory):
    """A home in which the trees have replaced the line; `again` is another line."""
    home = Home(tmp_path_factory.mktemp("promoted"))
    home.json("run", TASK)
    home.live(9)
    fitted = home.json("fit", TASK, "--snapshot", home.json("snapshot", TASK)["digest"])["fitted"]
    bundles = {one["recipe"]: one["bundle"] for one in fitted}
    with home.registry as registry:
        home.line = registry.champion().model.digest
    home.trees, home.again = bundles["trees"], bundles["line"]
    install(home, home.trees)
    return home


@pytest.fixture
def home(promoted_home, tmp_path):
    shutil.copytree(promoted_home.path, tmp_path, dirs_exist_ok=True)
    copy = Home(tmp_path)
    vars(copy).update({name: getattr(promoted_home, name) for name in ("next_day", "line", "trees", "again")})
    return copy


def install(home, digest, *options):
    home.json("shadow", digest, *options)
    home.json("promote", digest, "--override", "--why", "we need it")


def judged(home, task_path=TASK, *options):
    """What `trainer probation` says of the only one that it judges."""
    (found,) = home.json("probation", task_path, *options)["probation"]
    return found


def states(home):
    with home.registry as registry:
        return {version.model.digest: version.state for version in registry.versions()}


@pytest.fixture
def short(tmp_path):
    """The task with a probation of three days."""
    path = tmp_path / "short.py"
    path.write_text(
        Path(small_task.__file__).read_text().replace("slice_days=14", "slice_days=14, probation_days=3")
    )
    return str(path)


def test_a_better_champion_stays_and_the_former_one_retires(home, short):
    home.live(2)
    waiting = judged(home, short)
    assert (waiting["action"], waiting["done"]) == ("hold", False)
    assert "On probation: 1 of 3 days judged" in waiting["reasons"][0]
    home.live(3)
    assert judged(home, short, "--dry-run")["action"] == "release"
    assert states(home)[home.line] is ModelState.STANDBY
    assert judged(home, short)["done"]
    assert (states(home)[home.trees], states(home)[home.line]) == (ModelState.CHAMPION, ModelState.RETIRED)
    assert "there is nothing to judge" in home.error("probation", short)
    assert home.json("replay", short, "1")["same"]


def test_a_worse_champion_is_rolled_back_and_returns_by_an_override_only(home):
    install(home, home.again)
    home.live(5)
    found = judged(home)
    assert (found["action"], found["done"]) == ("roll_back", True)
    assert found["e_value"] >= found["wanted"] == 20
    assert (states(home)[home.trees], states(home)[home.again]) == (
        ModelState.CHAMPION,
        ModelState.ROLLED_BACK,
    )
    assert home.json("replay", TASK, "1")["same"]
    refused = home.command("shadow", home.again)
    assert refused.exit_code == 2
    assert "was rolled back; it comes back only with --override" in refused.stderr
    # Who lets it return knows of those days: they are not held against it again.
    install(home, home.again, "--override", "--why", "the data were at fault")
    assert judged(home)["action"] == "hold"
    home.live(6)
    assert judged(home)["action"] == "roll_back"


def test_a_run_judges_the_champion_on_probation_first(home):
    install(home, home.again)
    home.live(5)
    result = home.command("run", TASK, "--wait", "0")
    assert result.exit_code == 0, result.stderr
    assert "Roll back to" in result.stderr
    assert states(home)[home.again] is ModelState.ROLLED_BACK


def test_a_probation_can_be_ended_by_hand(home):
    assert "--as-of looks back" in home.command("probation", TASK, "--as-of", "2024-02-01").output
    assert home.json("probation", TASK, "--end", "we are sure")["retired"]["digest"] == home.line
    assert "no probation to end" in home.error("probation", TASK, "--end", "we are sure")


@pytest.fixture
def in_canary(tmp_path):
    """The task with a canary of two shares."""
    path = tmp_path / "in_canary.py"
    source = Path(small_task.__file__).read_text()
    path.write_text(source.replace("slice_days=14", "slice_days=14, canary=(0.5, 0.7), canary_days=2"))
    return str(path)


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


def test_what_was_shown_before_a_roll_back_does_not_promote_again(home):
    home.json("rollback", "--why", "to see")
    home.json("shadow", home.trees, "--override", "--why", "to see")
    home.live(5)
    assert home.json("decide", TASK, "--promote")["promoted"]
    home.json("rollback", "--why", "complaints")
    home.json("shadow", home.trees, "--override", "--why", "they were mistaken")
    decided = home.json("decide", TASK, "--promote")
    assert not decided["promoted"]
    assert decided["decisions"][0]["evidence"]["judged"]["served"] == 0


def test_days_as_canary_are_no_days_of_probation(home, short):
    home.json("shadow", home.again)
    home.json("canary", home.again, "--share", "0.5", "--why", "to see")
    home.live(5)
    home.json("promote", home.again, "--override", "--why", "we are sure")
    found = judged(home, short)
    assert (found["action"], found["facts"]["days"]) == ("hold", 0)
