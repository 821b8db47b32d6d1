"""`trainer monitor` on a real log: what it finds, that it says it once, and what it leaves alone."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_task
from small_home import Home
from small_task import START_NS, traffic

from sidecar.findings import Finding, FindingStore
from sidecar.lifecycle import Reason
from trainer.days import DAY_NS, iso_day
from trainer.promote import promote_first

TASK = str(Path(small_task.__file__))
QUIET_DAYS = 60


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """A champion and two months in which nothing changes."""
    home = Home(tmp_path_factory.mktemp("monitored"))
    snapshot = home.json("snapshot", TASK, "--history-until", "2024-02-01")["digest"]
    (fitted,) = home.json("fit", TASK, "--snapshot", snapshot, "--recipe", "line")["fitted"]
    with home.registry as registry:
        promote_first(registry, Path(fitted["path"]), Reason("tester", "first"))
    home.live(QUIET_DAYS)
    return home


@pytest.fixture
def home(lived, tmp_path):
    shutil.copytree(lived.path, tmp_path, dirs_exist_ok=True)
    copy = Home(tmp_path)
    copy.next_day = lived.next_day
    return copy


def reported(home):
    with FindingStore(home.path / "var" / "findings.db") as findings:
        return {
            f"{one.finding.subject}.{one.finding.what}": (one.finding, one.closed_ns)
            for one in findings.all()
        }


def turn_bad(rows):
    """Twice as many rows as before come out bad, whatever their x."""
    rng = np.random.default_rng(5)
    rows.label[:] = np.maximum(rows.label, rng.random(len(rows.label)) < 0.5)
    return rows


def test_quiet_weeks_have_no_finding(home):
    seen = home.json("monitor", TASK)
    assert seen["findings"] == {"performance": [], "multivariate": []}
    assert seen["new"] == []
    assert reported(home) == {}
    assert seen["label"]["p"] > 0.01
    assert seen["fields"].keys() == {"before", "training"}
    assert "Nothing was found" in home.command("monitor", TASK).stdout


def test_days_without_outcomes_are_estimated(home):
    # At six in the morning the day before is over, but the outcomes of its evening are not all here.
    now = f"{iso_day(START_NS + (30 + QUIET_DAYS - 1) * DAY_NS)}T06:00:00"
    expected = home.json("monitor", TASK, "--as-of", now)["expected"]
    assert expected["since_ns"] == START_NS + (30 + QUIET_DAYS - 2) * DAY_NS
    assert expected["doubts"] == []
    assert len(expected["trials"]) == 12
    band = expected["utility_per_1000"]
    assert band["lower"] < band["estimate"] < band["upper"]
    assert "errs as it did on 12 past stretches" in home.command("monitor", TASK, "--as-of", now).stdout


def test_bad_days_are_told_once_and_closed_when_it_is_over(home, monkeypatch):
    monkeypatch.setattr("small_home.traffic", lambda *when: turn_bad(traffic(*when)))
    home.live(8)
    seen = home.json("monitor", TASK)
    assert ["label", "shift"] in [key[2:] for key in seen["new"]]
    finding, closed_ns = reported(home)["label.shift"]
    assert closed_ns is None
    assert finding.monitor == "performance"
    assert finding.size > 0.3
    assert finding.since_ns == START_NS + (30 + QUIET_DAYS) * DAY_NS
    assert f"{finding.evidence['now']:.1%}" in finding.text
    again = home.json("monitor", TASK)
    assert again["new"] == []
    assert again["findings"] == seen["findings"]
    assert "open performance label.shift" in home.command("monitor", TASK).stdout

    monkeypatch.setattr("small_home.traffic", traffic)
    home.live(20)
    home.json("monitor", TASK)
    assert reported(home)["label.shift"][1] is not None


def test_what_was_found_of_a_former_champion_is_closed(home):
    former = Finding("performance", "f" * 64, "label", "shift", 0.5, 1, "It went up.")
    others = replace(former, monitor="drift")
    with FindingStore(home.path / "var" / "findings.db") as findings:
        for one in (former, others):
            findings.report(one.monitor, one.model, [one], 1)
    home.json("monitor", TASK)
    with FindingStore(home.path / "var" / "findings.db") as findings:
        assert [one.finding.monitor for one in findings.open()] == ["drift"]


def test_looking_back_reports_nothing(home, monkeypatch):
    monkeypatch.setattr("small_home.traffic", lambda *when: turn_bad(traffic(*when)))
    home.live(8)
    then = iso_day(START_NS + (30 + QUIET_DAYS) * DAY_NS)
    quiet = home.json("monitor", TASK, "--as-of", then)
    assert quiet["findings"]["performance"] == []
    assert quiet["reported"] is False
    loud = home.json("monitor", TASK, "--as-of", iso_day(START_NS + (30 + QUIET_DAYS + 8) * DAY_NS))
    assert loud["findings"]["performance"]
    assert not (home.path / "var" / "findings.db").exists()


def test_nobody_is_promoted_by_a_look(home):
    with home.registry as registry:
        before = registry.transitions()
    home.json("monitor", TASK)
    with home.registry as registry:
        assert registry.transitions() == before


def test_without_champion_or_rows_it_says_so(tmp_path, home):
    empty = Home(tmp_path)
    assert "no row was logged" in home.error("monitor", TASK, "--as-of", "2023-01-01")
    shutil.rmtree(tmp_path / "var")
    assert "no log at" in empty.error("monitor", TASK)
