"""A recipe that is fitted anew in a home: from one fit's shadow over the next one's to a promotion."""

from pathlib import Path

import pytest
import small_task
from small_home import Home

from sidecar.lifecycle import ModelState

TASK = str(Path(small_task.__file__))


def fit_trees(home):
    """Fit the recipe on what the log knows, and start its shadow; gives its digest."""
    snapshot = home.json("snapshot", TASK)["digest"]
    (fitted,) = home.json("fit", TASK, "--snapshot", snapshot, "--recipe", "trees")["fitted"]
    home.json("shadow", fitted["bundle"])
    return fitted["bundle"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home in which the trees were fitted, held after two days, and fitted anew."""
    home = Home(tmp_path_factory.mktemp("refit"))
    home.json("run", TASK)
    home.live(9)
    home.first = fit_trees(home)
    home.live(2)
    (home.held,) = home.json("decide", TASK)["decisions"]
    home.second = fit_trees(home)
    return home


def test_the_new_fit_goes_on_and_is_promoted_by_what_the_recipe_earned(home):
    assert home.first != home.second
    assert home.held["action"] == "hold"
    with home.registry as registry:
        assert registry.find(home.first).state is ModelState.SUPERSEDED
        assert [ref.model.digest for ref in registry.deployment().candidates] == [home.second]
    (young,) = home.json("decide", TASK)["decisions"]
    assert young["action"] == "hold"
    assert young["reasons"][0] == "Its shadow has not scored a row yet."

    home.live(4)
    (evidence,) = home.json("evidence", TASK)["evidence"]
    assert [one["model"]["digest"] for one in evidence["earlier"]] == [home.first]
    assert evidence["earlier"][0]["joined"] > 100
    assert evidence["own"]["joined"] > 500
    assert evidence["joined"] == evidence["earlier"][0]["joined"] + evidence["own"]["joined"]
    shown = home.command("evidence", TASK).stdout
    assert "decisions of earlier fits of the recipe: trees-" in shown

    (decision,) = home.json("decide", TASK, "--promote")["decisions"]
    assert decision["action"] == "promote"
    assert "over 2 fits of the recipe" in decision["reasons"][0]
    assert decision["e_value"] > home.held["e_value"]
    with home.registry as registry:
        assert registry.champion().model.digest == home.second
        number = str(registry.decisions()[-1].sequence)
    assert home.json("replay", TASK, number)["same"]
    history = home.json("audit")["history"]
    assert home.second in [one["successor"] for one in history if one["kind"] == "transition"]
    assert home.json("audit", "--verify")["intact"]


def test_who_was_superseded_does_not_come_back(home):
    assert "a version that is superseded cannot become shadow" in home.error("shadow", home.first)
