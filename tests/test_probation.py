"""A champion on probation, through the commands: rolled back, released, or ended unjudged."""

from pathlib import Path

from promoted_home import TASK, install, judged, states

from sidecar.errors import ConflictError
from sidecar.findings import FindingStore
from sidecar.lifecycle import ModelState
from sidecar.store.reader import LogReader
from trainer.probation.conduct import conduct
from trainer.task import load_task


def found(home):
    """What the findings of the home say of probations."""
    with FindingStore(home.path / "var" / "findings.db") as store:
        return [one.finding for one in store.open() if one.finding.monitor == "probation"]


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


def test_what_cannot_be_judged_is_found_and_ends_without_having_passed(home, short):
    too_little = Path(short)
    bound = too_little.read_text().replace("largest_unit_loss=600", "largest_unit_loss=80")
    too_little.write_text(bound.replace("deadline_days=14", "deadline_days=5"))
    home.live(5)
    assert judged(home, short)["action"] == "hold"
    assert [(one.monitor, one.what, one.size) for one in found(home)] == [("probation", "unjudged", 3)]
    home.live(2)
    lapsed = judged(home, short)
    assert (lapsed["action"], lapsed["done"]) == ("lapse", True)
    assert "was not settled within the 5 days" in lapsed["reasons"][0]
    assert "bound does not hold" in lapsed["reasons"][1]
    assert (states(home)[home.trees], states(home)[home.line]) == (ModelState.CHAMPION, ModelState.RETIRED)
    assert [(one.what, one.size) for one in found(home)] == [("lapsed", 5)]
    assert "decision 1: lapse" in home.command("audit").stdout
    assert home.json("replay", short, "1")["same"]
    # It is said for as long as that champion answers.
    home.command("run", short, "--wait", "0")
    assert [one.what for one in found(home)] == ["lapsed"]
    home.json("rollback", "--why", "we cannot know")
    home.command("run", short, "--wait", "0")
    assert found(home) == []


def test_a_lapse_is_told_though_whoever_acted_on_it_ended_before_it_could(home, short):
    too_little = Path(short)
    bound = too_little.read_text().replace("largest_unit_loss=600", "largest_unit_loss=80")
    too_little.write_text(bound.replace("deadline_days=14", "deadline_days=5"))
    home.live(7)
    with home.registry as registry, LogReader(home.path / "var" / "log.db") as reader:
        conduct(load_task(too_little), registry, reader, actor="tests")
    assert (states(home)[home.trees], states(home)[home.line]) == (ModelState.CHAMPION, ModelState.RETIRED)
    assert found(home) == []
    assert "there is nothing to judge" in home.error("probation", short)
    assert [(one.what, one.size) for one in found(home)] == [("lapsed", 5)]
    # A later reign of the same champion is another matter.
    home.json("rollback", "--why", "we cannot know")
    install(home, home.trees, "--override", "--why", "we know")
    home.json("probation", short, "--end", "we are sure")
    assert found(home) == []


def test_a_lapse_is_told_though_the_canary_cannot_be_judged(home, short, monkeypatch):
    too_little = Path(short)
    bound = too_little.read_text().replace("largest_unit_loss=600", "largest_unit_loss=80")
    too_little.write_text(bound.replace("deadline_days=14", "deadline_days=5"))
    home.json("shadow", home.again)
    home.json("canary", home.again, "--share", "0.5", "--why", "to see")
    home.live(7)

    def fails(*_, **__):
        raise ConflictError("the disk is full")

    monkeypatch.setattr("trainer.probation.conduct.judge_canary", fails)
    assert "the disk is full" in home.error("watch", short, "--once")
    assert (states(home)[home.trees], states(home)[home.line]) == (ModelState.CHAMPION, ModelState.RETIRED)
    assert [one.what for one in found(home)] == ["lapsed"]


def test_a_probation_that_is_ended_by_hand_is_found_no_more(home, short):
    Path(short).write_text(Path(short).read_text().replace("largest_unit_loss=600", "largest_unit_loss=80"))
    home.live(3)
    judged(home, short)
    assert len(found(home)) == 1
    home.json("probation", short, "--end", "we are sure")
    assert found(home) == []


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
