import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import small_task
from click.testing import CliRunner
from small_home import Home, answered
from small_log import outcomes, write_log
from small_task import traffic

from sidecar.findings import Finding, FindingStore
from sidecar.lifecycle import ModelState
from trainer.cli import main
from trainer.days import DAY_NS

TASK = str(Path(small_task.__file__))


@pytest.fixture(scope="module")
def served_home(tmp_path_factory):
    """A home with a first champion and some days of traffic."""
    home = Home(tmp_path_factory.mktemp("served"))
    home.json("run", TASK)
    home.live(9)  # longer than the hold-out, so that the log alone can be fitted on
    return home


@pytest.fixture
def home(served_home, tmp_path):
    shutil.copytree(served_home.path, tmp_path, dirs_exist_ok=True)
    copy = Home(tmp_path)
    copy.next_day = served_home.next_day
    return copy


def test_first_run_makes_the_first_champion(served_home):
    with served_home.registry as registry:
        champion = registry.champion()
        reason = registry.transitions(champion.model.digest)[-1].reason
    assert champion.model.version.startswith("line-")
    assert "first champion" in reason.why
    assert reason.actor == "tester"


def test_steps_one_by_one_lead_to_a_promotion_and_back(home):
    snapshot = home.json("snapshot", TASK)
    assert snapshot["rows"] == snapshot["facts"]["counts"]["labelled"] > 1500
    on_top = home.json(
        "snapshot", TASK, "--base", home.json("snapshot", TASK, "--history-until", "2024-02-01")["digest"]
    )
    assert on_top["rows"] > snapshot["rows"]

    fitted = home.json("fit", TASK, "--snapshot", on_top["digest"][:10])["fitted"]
    by_recipe = {one["recipe"]: one for one in fitted}
    assert by_recipe["trees"]["utility_per_1000"] > by_recipe["line"]["utility_per_1000"]

    started = home.json("shadow", by_recipe["trees"]["bundle"][:12], by_recipe["line"]["path"])
    assert [version["state"] for version in started["shadow"]] == ["shadow", "shadow"]
    trees = by_recipe["trees"]["bundle"]
    assert "no decision" in home.error("promote", trees[:12], "--why", "because")

    home.live()
    evidence = home.json("evidence", TASK, trees[:12])["evidence"][0]
    assert evidence["candidate"]["digest"] == trees
    assert evidence["judged"]["served"] == evidence["judged"]["valued"] > 500
    assert evidence["gain_per_1000"]["lower"] > 0

    decided = home.json("decide", TASK)
    assert {one["candidate"]["digest"]: one["action"] for one in decided["decisions"]}[trees] == "promote"
    assert not decided["promoted"]
    with home.registry as registry:
        first = registry.champion().model.digest
        assert first != trees

    assert home.json("promote", trees[:12], "--why", "earned")["champion"]["digest"] == trees
    assert home.json("rollback", "--why", "second thoughts")["champion"]["digest"] == first


@pytest.fixture(scope="module")
def decided_home(served_home, tmp_path_factory):
    """A home in which two candidates have been judged, the one promoted and the other held."""
    home = Home(tmp_path_factory.mktemp("decided"))
    shutil.copytree(served_home.path, home.path, dirs_exist_ok=True)
    home.next_day = served_home.next_day
    snapshot = home.json("snapshot", TASK)["digest"]
    fitted = home.json("fit", TASK, "--snapshot", snapshot)["fitted"]
    home.json("shadow", *(one["bundle"] for one in fitted))
    home.live()
    home.json("decide", TASK, "--promote")
    return home


def test_a_decision_is_made_again_bit_for_bit_though_the_log_has_grown(decided_home):
    before = decided_home.json("replay", TASK, "1")
    decided_home.live(2)
    with decided_home.registry as registry:
        champion_then = registry.deployment().standby
        assert len(registry.looks()) == 1
    late = traffic(decided_home.next_day - 6, 1, seed=5)  # of a day that was decided on
    batch = answered(champion_then, late, np.arange(len(late.label)), time.time_ns())
    write_log(decided_home.path / "var" / "log.db", [batch], [], [outcomes(late)])
    for name in ("1", "2", before["evidence_digest"][:12]):
        again = decided_home.json("replay", TASK, name)
        assert again["same"]
        assert again["evidence_digest"] == again["evidence_digest_again"]
    assert "comes out the same" in decided_home.command("replay", TASK, "2").stdout
    assert "no decision '7'" in decided_home.error("replay", TASK, "7")


def test_a_replay_shows_what_differs(decided_home, tmp_path):
    source = Path(small_task.__file__).read_text()
    dearer = tmp_path / "dearer.py"
    dearer.write_text(source.replace("largest_unit_loss=600", "largest_unit_loss=700"))
    result = decided_home.command("replay", str(dearer), "1")
    assert result.exit_code == 1
    assert "policy.largest_unit_loss: 600 is now 700" in result.stdout
    again = decided_home.command("replay", str(dearer), "1", "--json")
    where = {one["where"] for one in json.loads(again.stdout)["differences"]}
    assert {"policy.largest_unit_loss", "evidence.stakes.unit_bound"} <= where


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("canary", "aa", "--share", "much", "--why", "x"), "'much' is not a valid number"),
        (("canary", "aa", "--share", "2", "--why", "x"), "2.0 is not in the range 0<x<1"),
        (("simulate", TASK, "aa", "--streams", "1.5"), "'1.5' is not a valid whole number"),
        (("snapshot", TASK, "--history-until", "today"), "'today' is no UTC date; give one as 2013-03-16"),
        (("shadow", "zz"), "no bundles begin with 'zz'"),
        (("shadow", "."), "absent"),
    ],
)
def test_what_is_wrong_with_an_argument_is_one_line(tmp_path, arguments, says):
    assert says in Home(tmp_path).error(*arguments)


def test_audit_lists_everything_and_tells_when_it_was_changed(decided_home, tmp_path):
    home = Home(tmp_path)
    shutil.copytree(decided_home.path, tmp_path, dirs_exist_ok=True)
    history = home.json("audit")["history"]
    decisions = [one for one in history if one["kind"] == "decision"]
    assert {one["action"] for one in decisions} == {"promote", "hold"}
    assert all(one["budget"] == pytest.approx(0.05 / 3) for one in decisions)
    shown = home.command("audit").stdout.splitlines()
    assert any("decision 1: " in line for line in shown)
    assert all(len(line) <= 80 for line in shown)
    assert all(line.startswith(("    ", "20")) for line in shown if line.strip())
    head = home.json("audit", "--verify")["head"]
    assert home.json("audit", "--verify", "--head", head[:16])["intact"]
    assert "goes with --verify" in home.error("audit", "--head", head)
    with sqlite3.connect(tmp_path / "var" / "registry.db") as file:
        file.execute("DROP TRIGGER decisions_no_update")
        file.execute("UPDATE decisions SET action = 'promote'")
    broken = home.command("audit", "--verify")
    assert broken.exit_code == 1
    assert "the row was changed after it was written" in broken.stdout
    other = home.command("audit", "--verify", "--head", "f" * 12, "--json")
    assert "cut off" in json.loads(other.stdout)["faults"][-1]


def test_what_monitors_find_is_shown_and_vetoes_where_the_policy_says_so(decided_home, tmp_path):
    home = Home(tmp_path)
    shutil.copytree(decided_home.path, tmp_path, dirs_exist_ok=True)
    home.next_day = decided_home.next_day
    with home.registry as registry:
        champion = registry.champion().model.digest
    about = Finding("drift", champion, "amount", "shift", 1.0, 0, "Field 'amount' has shifted.")
    with FindingStore(tmp_path / "var" / "findings.db") as findings:
        findings.report("drift", champion, [about], 1)
    home.live()
    strict = tmp_path / "strict.py"
    source = Path(small_task.__file__).read_text()
    strict.write_text(source.replace("cycle_days=1,", 'cycle_days=1,\n        veto_monitors=("drift",),'))
    vetoed = home.json("decide", str(strict))["decisions"][0]
    assert vetoed["action"] == "hold"
    assert "An open finding of monitor 'drift' vetoes" in vetoed["reasons"][0]
    shown = home.json("decide", TASK)["decisions"][0]
    assert shown["evidence"]["findings"][0]["subject"] == "amount"
    assert "Shown only: an open finding of monitor 'drift'" in shown["reasons"][-1]


def test_a_policy_is_tried_out_on_the_past(home):
    early = home.json("snapshot", TASK, "--history-until", "2024-01-12")["digest"]
    bundles = [one["bundle"][:12] for one in home.json("fit", TASK, "--snapshot", early)["fitted"]]
    found = home.json("simulate", TASK, bundles[1], "--champion", bundles[0], "--streams", "400")
    assert found["cycles"] >= 15
    rows = {one["kind"]: one for one in found["outlook"]}
    assert rows["no gain: signs of units drawn"]["promoted"] <= 0.05
    assert rows["no gain: signs of units drawn"]["by_interval"] > 0.05
    assert rows["1 of the gain measured"]["promoted"] > 0.95
    assert rows["1 of the gain measured"]["days"] <= rows["0.25 of the gain measured"]["days"]
    assert home.json("simulate", TASK, bundles[1], "--champion", bundles[0], "--streams", "400") == found
    words = home.command("simulate", TASK, bundles[1], "--champion", bundles[0], "--streams", "10").stdout
    assert "Promoted at an e-value of 40" in words
    with home.registry as registry:
        champion = registry.champion().model.digest[:12]
    assert "later than what the models were fitted on" in " ".join(
        home.error("simulate", TASK, champion).split()
    )


def test_decide_promotes_when_told_to(home):
    snapshot = home.json("snapshot", TASK)["digest"]
    trees = home.json("fit", TASK, "--snapshot", snapshot, "--recipe", "trees")["fitted"][0]["bundle"]
    home.json("shadow", trees)
    home.live()
    assert home.json("decide", TASK, "--promote")["promoted"]
    with home.registry as registry:
        assert registry.champion().model.digest == trees


def test_run_waits_for_evidence_and_promotes_what_earned_it(home):
    results = []
    run = threading.Thread(target=lambda: results.append(home.json("run", TASK, "--wait", "40")))
    run.start()
    while not results:
        with home.registry as registry:
            if len(registry.deployment().candidates) == 2:
                home.live()
                break
        run.join(0.1)
    run.join()
    summary = results[0]
    actions = {one["candidate"]["version"].split("-")[0]: one["action"] for one in summary["decisions"]}
    assert actions["trees"] == "promote"
    assert summary["promoted"]["version"].startswith("trees-")
    assert "is the champion" in summary["ending"]
    with home.registry as registry:
        assert registry.champion().model.digest == summary["promoted"]["digest"]
        assert len(registry.decisions()) == 2


def test_run_that_waits_in_vain_holds_and_exits_well(home):
    result = home.command("run", TASK, "--wait", "0")
    assert result.exit_code == 0
    assert "has not scored a row yet" in result.stderr
    assert "stays champion" in result.stdout
    with home.registry as registry:
        states = {version.state for version in registry.versions()}
    assert states == {ModelState.CHAMPION, ModelState.SHADOW}


def test_tables_show_money_and_reasons(home):
    snapshot = home.json("snapshot", TASK)["digest"]
    table = home.command("fit", TASK, "--snapshot", snapshot).stdout
    assert "USD per 1,000" in table
    home.json(
        "shadow", home.json("fit", TASK, "--snapshot", snapshot, "--recipe", "trees")["fitted"][0]["bundle"]
    )
    home.live()
    assert "CPU us p50 / p99" in home.command("evidence", TASK).stdout
    assert "earns more than the champion" in " ".join(home.command("decide", TASK).stdout.split())


def test_override_needs_no_decision_and_first_needs_no_champion(home):
    snapshot = home.json("snapshot", TASK)["digest"]
    trees = home.json("fit", TASK, "--snapshot", snapshot, "--recipe", "trees")["fitted"][0]["bundle"]
    assert "is the champion" in home.error("promote", trees, "--first", "--why", "again")
    home.json("shadow", trees)
    assert home.json("promote", trees, "--override", "--why", "known good")["champion"]["digest"] == trees


def test_first_run_keeps_to_the_history_it_is_given(tmp_path):
    new = Home(tmp_path)
    new.json("run", TASK, "--history-until", "2024-01-21")
    with new.registry as registry:
        manifest = json.loads((registry.champion().path / "manifest.json").read_text())
    assert manifest["training"]["last_event_ns"] < small_task.START_NS + 20 * DAY_NS


def test_copy_of_the_champion_is_a_version_of_its_own_and_held(home):
    with home.registry as registry:
        champion = registry.champion()
    snapshot = json.loads((champion.path / "manifest.json").read_text())["snapshot"]
    names = ("--recipe", "line", "--version", "copy")
    copy = home.json("fit", TASK, "--snapshot", snapshot, *names)["fitted"][0]["bundle"]
    assert copy != champion.model.digest
    home.json("shadow", copy)
    home.live()
    decision = home.json("decide", TASK, "--promote")["decisions"][0]
    assert decision["action"] == "hold"
    assert "exactly as the champion" in decision["reasons"][0]
    assert "one --recipe" in home.error("fit", TASK, "--snapshot", snapshot, "--version", "copy")


def test_mistakes_are_one_line(home, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("import math\n\nvalue = math.pi / 0\n")
    assert f"{broken}:3: " in home.error("decide", str(broken))
    broken.write_text("import math\n\ndef (:\n")
    assert f"{broken}:3: " in home.error("decide", str(broken))
    assert "no task file" in home.error("run", str(tmp_path / "none.py"))
    assert "no snapshot" in home.error("fit", TASK, "--snapshot", "abc")
    assert "no candidate is in the shadow" in home.error("decide", TASK)
    assert "no bundles begin with" in home.error("shadow", "abc")
    assert "no version has a digest" in home.error("promote", "abc", "--why", "because")
    assert "--why" in home.error("rollback")
    assert "first champion" in home.error("rollback", "--why", "because")
    assert "No such command" in home.error("promot")


def test_without_a_sidecar_home_it_says_what_to_do(tmp_path):
    empty = Home(tmp_path)
    assert "start the sidecar" in empty.error("snapshot", TASK)
    assert "no version has a digest" in empty.error("promote", "abc", "--override", "--why", "because")


def test_help_explains_every_command():
    for command in main.commands.values():
        text = CliRunner().invoke(main, [str(command.name), "--help"])
        assert text.exit_code == 0
        assert len(command.help or "") > 40
        assert all(
            option.help for option in command.params if getattr(option, "opts", [""])[0].startswith("-")
        )
    bare = CliRunner().invoke(main, [])
    assert bare.exit_code == 0
    assert "trainer run TASK" in bare.stdout


def test_traffic_that_candidates_were_fitted_on_does_not_promote_them(home):
    snapshot = home.json("snapshot", TASK)["digest"]
    trees = home.json("fit", TASK, "--snapshot", snapshot, "--recipe", "trees")["fitted"][0]["bundle"]
    home.json("shadow", trees)
    home.next_day = 30  # the same requests once more
    home.live(9)
    decision = home.json("decide", TASK, "--promote")["decisions"][0]
    assert decision["action"] == "hold"
    assert "Its shadow has not scored a row yet" in decision["reasons"][0]
    assert decision["evidence"]["trained_until_ns"] >= small_task.START_NS + 38 * DAY_NS


def test_task_whose_fields_have_changed_is_refused(home, tmp_path):
    source = Path(small_task.__file__).read_text()
    changed = tmp_path / "changed.py"
    # As many numbers as before, so nothing but the digest tells the two apart.
    changed.write_text(
        source.replace('Field("amount", lower=0, unit="USD")', 'Field("amount", lower=0, unit="EUR")')
    )
    for command in ("snapshot", "evidence", "decide", "run"):
        assert "fields of task 'small' are not those of champion" in home.error(command, str(changed))


def test_candidate_out_of_the_shadow_has_no_evidence_to_show(home):
    with home.registry as registry:
        champion = registry.champion().model.digest
    snapshot = home.json("snapshot", TASK)["digest"]
    home.json(
        "shadow", home.json("fit", TASK, "--snapshot", snapshot, "--recipe", "trees")["fitted"][0]["bundle"]
    )
    assert "is not in the shadow, it is champion" in home.error("evidence", TASK, champion[:12])


def test_faults_outside_are_one_line(tmp_path):
    new = Home(tmp_path)
    (tmp_path / "var").write_text("in the way")
    assert "Not a directory" in new.error("snapshot", TASK, "--history-until", "2024-02-01")
    leaves = tmp_path / "leaves.py"
    leaves.write_text("import sys\n\nsys.exit(0)\n")
    assert f"{leaves}:3: " in new.error("run", str(leaves))


def test_names_are_shown_as_they_are(home):
    snapshot = home.json("snapshot", TASK)["digest"]
    name = "[/x] :tada:"
    bundle = home.json("fit", TASK, "--snapshot", snapshot, "--recipe", "trees", "--version", name)
    home.json("shadow", bundle["fitted"][0]["bundle"])
    assert name in home.command("decide", TASK).stdout


def test_without_its_libraries_the_trainer_says_what_to_install():
    absent = "import sys; sys.modules['sklearn'] = None; from trainer.__main__ import main; main()"
    result = subprocess.run([sys.executable, "-c", absent], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: the trainer needs sklearn")
    assert line.endswith("pip install 'model-sidecar[trainer]'")
