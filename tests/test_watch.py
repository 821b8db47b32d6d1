"""The button that presses itself: when it is due, and what a look does."""

import shutil
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import small_task
from small_home import Home, answered
from small_log import write_log
from small_task import traffic

from sidecar.errors import ConflictError, NotFoundError
from sidecar.findings import Finding, FindingStore
from sidecar.lifecycle import ModelState
from sidecar.registry import Registry
from trainer.command_line import load_config
from trainer.days import DAY_NS, iso_minute
from trainer.retraining import Retraining, Situation, due
from trainer.run import Run
from trainer.watch import Watch

TASK = str(Path(small_task.__file__))
LATER = 10 * DAY_NS
FOUND = Finding("drift", "c", "amount", "shift", 0.5, 12 * DAY_NS, "amount is dearer by half.")
NOW = Situation(20 * DAY_NS, LATER, LATER + DAY_NS, new=500, unproven=0, findings=())
PLAN = Retraining(every=timedelta(days=28), outcomes=1_000)
CASES = {
    "nothing happened": (PLAN, NOW, ""),
    "long ago": (
        PLAN,
        replace(NOW, now_ns=38 * DAY_NS),
        "fitted on rows later than 1970-01-11",
    ),
    "not quite": (PLAN, replace(NOW, now_ns=38 * DAY_NS - 1), ""),
    "enough outcomes": (PLAN, replace(NOW, new=1_000), "1,000 rows have matured with an outcome"),
    "too few outcomes": (PLAN, replace(NOW, new=999), ""),
    "outcomes do not count": (Retraining(), replace(NOW, new=10**6), ""),
    "drift": (PLAN, replace(NOW, findings=(FOUND,)), "since 1970-01-13: amount is dearer by half."),
    "drift it has seen": (PLAN, replace(NOW, findings=(replace(FOUND, since_ns=LATER + DAY_NS),)), ""),
    "another monitor": (PLAN, replace(NOW, findings=(replace(FOUND, monitor="skew"),)), ""),
    "candidates unproven": (PLAN, replace(NOW, new=1_000, now_ns=99 * DAY_NS, unproven=1), ""),
    "drift, all the same": (PLAN, replace(NOW, unproven=1, findings=(FOUND,)), "amount is dearer"),
    "no new row": (PLAN, replace(NOW, new=0, now_ns=99 * DAY_NS, findings=(FOUND,)), ""),
    "switched off": (Retraining(None, None, ()), replace(NOW, now_ns=99 * DAY_NS, findings=(FOUND,)), ""),
}


@pytest.mark.parametrize("case", CASES)
def test_when_it_is_due(case):
    plan, now, words = CASES[case]
    found = due(plan, now)
    assert bool(found) == bool(words)
    assert words in found


def test_a_plan_that_means_nothing_is_refused():
    with pytest.raises(ValueError, match="every must be longer than nothing"):
        Retraining(every=timedelta(0))
    with pytest.raises(ValueError, match="outcomes must be at least 1"):
        Retraining(outcomes=0)


@pytest.fixture(scope="module")
def first_home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("first"))
    home.json("run", TASK)
    home.live(9)
    return home


@pytest.fixture
def home(first_home, tmp_path):
    shutil.copytree(first_home.path, tmp_path, dirs_exist_ok=True)
    copy = Home(tmp_path)
    copy.next_day = first_home.next_day
    return copy


class Notes:
    """A narrator that keeps what it is told."""

    def __init__(self):
        self.said = []

    def stage(self, text):
        self.said.append(text)

    def note(self, text):
        self.said.append(text)

    def wait(self, text):
        pass


class Watched:
    """A watch on a home, whose task retrains after so many outcomes."""

    def __init__(self, home, outcomes=1_000, **change):
        self.notes = Notes()
        self.registry = Registry(home.path / "var" / "registry.db")
        self.task = replace(small_task.task, retraining=Retraining(every=None, outcomes=outcomes), **change)
        self.watch = Watch(
            Run(
                task=self.task,
                config=load_config(home.config, {}),
                registry=self.registry,
                actor="watch",
                narrator=self.notes,
                history_until_ns=None,
                patience_seconds=0,
                wait_seconds=0,
            )
        )

    def look(self):
        self.notes.said.clear()
        looked = self.watch.look()
        return looked, " ".join(self.notes.said)


def test_looks_retrain_promote_and_roll_back_by_themselves(home):
    watched = Watched(home)
    looked, said = watched.look()
    assert looked
    assert "Retraining is due:" in said
    assert "1,000 suffice" in said
    in_shadow = watched.registry.deployment().candidates
    assert len(in_shadow) == 2
    assert watched.look() == (False, "")  # no further day has matured

    home.live(5)
    looked, said = watched.look()
    assert looked
    assert "promote trees-" in said
    champion = watched.registry.champion()
    assert champion.model.version.startswith("trees-")
    assert watched.registry.standby() is not None
    assert "Retraining is due" not in said  # the other has yet to show itself beside the new champion

    # The other one takes its place against all advice, and is taken back.
    other = next(ref.model for ref in in_shadow if ref.model != champion.model)
    home.json("promote", other.digest, "--override", "--why", "the desk wants it")
    home.live(9)
    looked, said = watched.look()
    assert "Roll back to small/trees-" in said
    assert watched.registry.champion().model == champion.model
    assert watched.registry.find(other.digest).state is ModelState.ROLLED_BACK


def test_a_canary_that_is_too_slow_goes_when_an_hour_has_ended_and_not_when_a_day_has_matured(home):
    watched = Watched(home)
    watched.look()
    canary = watched.registry.deployment().candidates[0].model
    home.json("canary", canary.digest, "--share", "0.5", "--why", "to see")
    assert watched.look() == (False, "")
    rows = traffic(home.next_day, 1, rows_a_day=1_600)
    first_hours = np.flatnonzero(rows.event_ns < small_task.START_NS + (home.next_day + 0.25) * DAY_NS)
    ref = watched.registry.deployment().canary.ref
    fast = answered(ref, rows, first_hours, time.time_ns())
    morning = fast.event_ns < small_task.START_NS + (home.next_day + 0.125) * DAY_NS
    write_log(home.path / "var" / "log.db", [fast.take(morning)])
    looked, said = watched.look()
    assert looked
    assert "stays canary. Canary at 50.00% of the calls, 0 of 1 days judged" in said
    hour = small_task.START_NS + (home.next_day + 0.125) * DAY_NS
    assert watched.watch.words.endswith(f"calls is timed again at {iso_minute(int(hour))} UTC")
    assert watched.look() == (False, "")
    noon = fast.event_ns < small_task.START_NS + (home.next_day + 0.18) * DAY_NS
    write_log(home.path / "var" / "log.db", [fast.take(noon & ~morning)])
    assert watched.look() == (True, ""), "nothing has changed"
    morning = noon
    slow = replace(fast, cpu_ns=np.full(len(fast), 200_000_000))
    write_log(home.path / "var" / "log.db", [slow.take(~morning)])
    looked, said = watched.look()
    assert looked
    assert "is canary no more, and rejected. It is too slow where it serves" in said
    assert watched.registry.find(canary.digest).state is ModelState.REJECTED
    assert watched.look() == (False, ""), "nobody newly answers calls"
    assert watched.watch.words.endswith("the next look is when that day has matured")


def test_a_canary_is_timed_while_retraining_fails(home, monkeypatch):
    watched = Watched(home)
    watched.look()
    canary = watched.registry.deployment().candidates[0].model
    home.json("canary", canary.digest, "--share", "0.5", "--why", "to see")
    home.live(1)

    def fails(*_):
        raise ConflictError("the disk is full")

    monkeypatch.setattr(Run, "retrain", fails)
    monkeypatch.setattr("trainer.watch.due", lambda *_: "because")
    with pytest.raises(ConflictError, match="the disk is full"):
        watched.look()
    assert watched.registry.find(canary.digest).state is ModelState.CANARY
    rows = traffic(home.next_day, 1, rows_a_day=1_600)
    morning = np.flatnonzero(rows.event_ns < small_task.START_NS + (home.next_day + 0.25) * DAY_NS)
    answers = answered(watched.registry.deployment().canary.ref, rows, morning, time.time_ns())
    slow = replace(answers, cpu_ns=np.full(len(answers), 200_000_000))
    write_log(home.path / "var" / "log.db", [slow])
    with pytest.raises(ConflictError, match="the disk is full"):
        watched.look()
    assert watched.registry.find(canary.digest).state is ModelState.REJECTED


def test_new_outcomes_wait_until_the_fits_have_come_through_a_cycle(home):
    watched = Watched(home, outcomes=200, policy=replace(small_task.task.policy, min_rows=100_000))
    assert "Retraining is due" in watched.look()[1]
    young = watched.registry.deployment().candidates
    home.live(1)
    looked, said = watched.look()
    assert looked
    assert "Retraining is due" not in said
    home.live(1)
    assert "Retraining is due" in watched.look()[1]
    assert {watched.registry.find(ref.model.digest).state for ref in young} == {ModelState.SUPERSEDED}
    assert len(watched.registry.deployment().candidates) == len(young)


def test_drift_that_began_after_training_is_a_reason(home):
    with home.registry as registry:
        champion = registry.champion().model.digest
    since_ns = small_task.START_NS + 33 * DAY_NS
    with FindingStore(home.path / "var" / "findings.db") as findings:
        findings.report("drift", champion, [replace(FOUND, model=champion, since_ns=since_ns)], since_ns)
    looked, said = Watched(home, outcomes=10**9).look()
    assert looked
    assert "Retraining is due: Monitor 'drift', since 2024-02-03: amount is dearer by half." in said


def test_outcomes_that_replies_hid_are_no_new_ones(home):
    policy = replace(small_task.task.policy, largest_unit_loss=1_200)
    hiding = Watched(home, outcomes=1_600, hidden_by="act", explore=0.3, policy=policy)
    assert "Retraining is due" not in hiding.look()[1]
    assert "Retraining is due" in Watched(home, outcomes=1_600).look()[1]


def test_a_failed_look_is_made_again(home):
    watched = Watched(home, outcomes=10**9)
    (home.path / "var" / "log.db").rename(home.path / "away.db")
    with pytest.raises(NotFoundError):
        watched.look()
    (home.path / "away.db").rename(home.path / "var" / "log.db")
    assert watched.look()[0]


def test_once_is_a_command_for_a_scheduler(home, tmp_path):
    found = home.json("watch", TASK, "--once")
    with home.registry as registry:
        assert found["champion"] == registry.champion().model.digest
    (tmp_path / "bare").mkdir()
    assert "no log at" in Home(tmp_path / "bare").error("watch", TASK, "--once")
