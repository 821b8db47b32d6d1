"""`trainer register`, and what becomes of the version: it is judged like any other, on rows new to it."""

from pathlib import Path

import numpy as np
import pytest
import small_task
from foreign_graphs import fitted, skl
from small_home import Home

from sidecar.registry import ModelState
from trainer.days import DAY_NS
from trainer.snapshot import open_snapshot

TASK = str(Path(small_task.__file__))


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A home with a first champion, and a file whose model knows the history's first 20 days."""
    home = Home(tmp_path_factory.mktemp("begun"))
    home.json("run", TASK)
    (folder,) = (home.path / "var" / "snapshots").iterdir()
    snapshot = open_snapshot(folder)
    rows = snapshot.event_ns < small_task.START_NS + 20 * DAY_NS
    skl(fitted(small_task.task, snapshot, np.flatnonzero(rows), trees=True), home.path / "theirs.onnx")
    return home


def register(home, *options):
    path = str(home.path / "theirs.onnx")
    return home.json("register", path, "--task", TASK, "--recipe", "line", *options)


def test_a_registered_model_earns_its_promotion_on_rows_that_are_new_to_it(begun):
    known = register(begun, "--trained-until", "2024-01-20")
    unknown = register(begun, "--version", "nobody-knows")
    assert known["holdout"]["utility_per_1000"] > 0
    assert (unknown["holdout"], unknown["unknown"]) == (None, "it is not declared what it was fitted on")
    with begun.registry as registry:
        assert registry.find(known["bundle"]).state is ModelState.ADMITTED

    begun.json("shadow", known["bundle"][:12], unknown["bundle"][:12])
    begun.live(8)
    decisions = {
        one["candidate"]["digest"]: one for one in begun.json("decide", TASK, "--promote")["decisions"]
    }
    assert decisions[known["bundle"]]["action"] == "promote"
    # The same model, but it may know the replayed rows: it was registered long after they happened.
    held = decisions[unknown["bundle"]]
    assert held["action"] == "hold"
    assert held["reasons"][0].startswith("It may have been fitted on rows up to 20")
    assert held["reasons"][0].endswith("no row is known to be new to it.")
    with begun.registry as registry:
        assert registry.champion().model.digest == known["bundle"]
    assert "does not say what it was fitted on" in begun.error("simulate", TASK, unknown["bundle"][:12])
    evaluated = begun.json("evaluate", TASK)
    figures = {one["name"]: one["figures"] for one in evaluated["versions"]}
    assert figures[known["version"]]["utility_per_1000"]["estimate"] > 0
    assert figures["nobody-knows"] is None
    assert any("nobody-knows does not say what it was fitted on" in line for line in evaluated["footnotes"])


def test_a_registered_model_may_be_the_first_champion(begun, tmp_path):
    home = Home(tmp_path)
    snapshot = home.json("snapshot", TASK, "--history-until", "2024-01-31")["digest"]
    path = str(begun.path / "theirs.onnx")
    words = ("register", path, "--task", TASK, "--recipe", "line")
    assert "give --snapshot" in home.error(*words)
    result = home.command(*words, "--snapshot", snapshot[:12])
    assert "is registered and admitted: bundle" in result.stdout
    assert "no figures on the hold-out: it is not declared" in result.stdout
    (bundle,) = (home.path / "var" / "bundles").iterdir()
    promoted = home.json("promote", bundle.name[:12], "--first", "--why", "brought along")
    assert promoted["champion"]["version"] == f"theirs-{snapshot[:8]}"


def test_a_refusal_is_one_line(begun):
    path = str(begun.path / "theirs.onnx")
    said = begun.error("register", path, "--task", TASK)
    assert said.startswith("error: theirs.onnx takes 'X' float32 [?, 6]; the signature's raw blocks are")
