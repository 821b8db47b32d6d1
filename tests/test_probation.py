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

from sidecar.lifecycle import ModelState
from sidecar.store.reader import LogReader
from trainer.betting import BETS, log_capital
from trainer.days import DAY_NS
from trainer.gate import Action
from trainer.latency import Quantile, Quantiles, Speed
from trainer.probation.facts import Probation, Reading
from trainer.probation.measure import measure_probation
from trainer.probation.verdict import judge_probation

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


def test_days_before_a_roll_back_do_not_count_again(tmp_path):
    path = log(tmp_path)
    later = measured(path, after_ns=START_NS + 32 * DAY_NS)
    assert later.evidence.judged.since_ns == START_NS + 33 * DAY_NS
    assert len(later.readings) == 2
    assert len(measured(path).readings) == 5


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


def test_a_budget_in_multiples_is_held_against_what_the_former_champion_took(tmp_path):
    before = traffic(25, 5, rows_a_day=100)
    earlier = served(before, oracle(before, wrong=0.1, seed=3), np.arange(500), FORMER, cpu_ns=5_000)
    multiples = with_policy(latency_budget_us=None, latency_budget_times=2.0, cycle_days=5)
    found = measured(log(tmp_path, of_former=[earlier]), of=multiples).speed
    assert found.budget.us == pytest.approx(10.0)
    assert (found.rows, found.over) == (WHOLE, WHOLE)
    assert measured(log(tmp_path / "alone"), of=multiples).speed is None
    assert measured(log(tmp_path / "fixed")).speed.over == 0


def speed(beyond=(0.0,) * 5):
    one = Quantile(20.0, 19.0, 21.0)
    return Speed(1_200, Quantile(15, 15, 15), 20, 300, beyond, Quantiles(one, one, one))


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


@pytest.mark.parametrize("case", VERDICTS)
def test_every_verdict(case):
    readings, facts, fast, action, words = VERDICTS[case]
    valued = facts.get("valued", 1200)
    judged = replace(accounting(1200), since_ns=0, until_ns=facts.get("days", 0) * DAY_NS)
    judged = replace(judged, valued=valued, failures={**judged.failures, "shed": 1200 - valued})
    known = evidence(
        judged=judged,
        stakes=stakes(unit_worst=facts.get("worst", -40.0)),
        hidden=facts.get("hidden"),
    )
    found = Probation(known, tuple(readings), fast)
    decision = judge_probation(found, PROBATION, decided_ns=1, actor="tester")
    assert decision.action is action
    assert words in " ".join(decision.reasons)
    assert decision.wanted == 20
    assert (decision.champion, decision.candidate) == (known.champion, known.candidate)


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
    waiting = home.json("probation", short)
    assert (waiting["action"], waiting["done"]) == ("hold", False)
    assert "On probation: 1 of 3 days judged" in waiting["reasons"][0]
    home.live(3)
    assert home.json("probation", short, "--dry-run")["action"] == "release"
    assert states(home)[home.line] is ModelState.STANDBY
    assert home.json("probation", short)["done"]
    assert (states(home)[home.trees], states(home)[home.line]) == (ModelState.CHAMPION, ModelState.RETIRED)
    assert "is not on probation" in home.error("probation", short)
    assert home.json("replay", short, "1")["same"]


def test_a_worse_champion_is_rolled_back_and_returns_by_an_override_only(home):
    install(home, home.again)
    home.live(5)
    found = home.json("probation", TASK)
    assert (found["action"], found["done"]) == ("roll_back", True)
    assert found["e_value"] >= found["wanted"] == 20
    assert (states(home)[home.trees], states(home)[home.again]) == (
        ModelState.CHAMPION,
        ModelState.ROLLED_BACK,
    )
    assert home.json("replay", TASK, "1")["same"]
    refused = home.command("shadow", home.again)
    assert refused.exit_code == 2
    assert "was rolled back; it comes back only by an override" in refused.stderr
    # Who lets it return knows of those days: they are not held against it again.
    install(home, home.again, "--override", "--why", "the data were at fault")
    assert home.json("probation", TASK)["action"] == "hold"
    home.live(6)
    assert home.json("probation", TASK)["action"] == "roll_back"


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
