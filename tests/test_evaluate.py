"""`trainer evaluate` on a real log: what each version would have earned, and what may not be said of it."""

import shutil
from pathlib import Path

import exploring_task
import numpy as np
import pytest
import small_task
from small_home import Home
from small_task import SIGNATURE, START_NS, task

from sidecar.bundle import EXPLORATION, PIPELINE, REFERENCE, TRANSFORM, open_bundle, write_bundle
from sidecar.errors import ModelFailedError
from sidecar.exploration import is_explored
from sidecar.lifecycle import Reason
from sidecar.session import load_model
from sidecar.store.reader import LogReader
from trainer.days import DAY_NS, iso_day
from trainer.evaluation.rescore import BATCH_ROWS, rescore
from trainer.join import read_rows
from trainer.promote import promote_first, register

TASK = str(Path(small_task.__file__))
FIRST_DAY, DAYS = 30, 16
DATE = {day: iso_day(START_NS + day * DAY_NS) for day in range(60)}


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """A line serves, trees stand beside it; both were fitted on the history."""
    home = Home(tmp_path_factory.mktemp("evaluated"))
    snapshot = home.json("snapshot", TASK, "--history-until", "2024-02-01")["digest"]
    fitted = {one["recipe"]: one for one in home.json("fit", TASK, "--snapshot", snapshot)["fitted"]}
    with home.registry as registry:
        promote_first(registry, Path(fitted["line"]["path"]), Reason("tester", "first"))
        register(registry, Path(fitted["trees"]["path"]), Reason("tester", "beside"))
    home.traffic = home.live(DAYS)
    home.fitted = fitted
    return home


@pytest.fixture
def home(lived, tmp_path):
    shutil.copytree(lived.path, tmp_path, dirs_exist_ok=True)
    copy = Home(tmp_path)
    copy.next_day, copy.traffic, copy.fitted = lived.next_day, lived.traffic, lived.fitted
    return copy


def by_name(found):
    return {one["name"].split("-")[0]: one for one in found["versions"]}


def earned(home, recipe, inside):
    """Money per 1,000 decisions by the task's costs, worked out from traffic and replies alone."""
    blocks = SIGNATURE.pack_columns(home.traffic.columns)
    decision = load_model(Path(home.fitted[recipe]["path"])).run(blocks).decision
    worth = np.where(home.traffic.label == 1, 0.5 * home.traffic.columns["amount"] - 20, -20.0)
    return 1000 * (worth * decision)[inside].mean()


def test_every_version_is_judged_by_what_its_own_decisions_would_have_earned(lived):
    found = lived.json("evaluate", TASK)
    # The last row is late on the last day, and half a day of maturity: the newest whole day is not in.
    newest = FIRST_DAY + DAYS - 1
    day = (lived.traffic.event_ns - START_NS) // DAY_NS
    inside = (day >= newest - task.policy.slice_days) & (day < newest)
    versions = by_name(found)
    for recipe in ("line", "trees"):
        figures = versions[recipe]["figures"]
        assert figures["rows"] == inside.sum() == found["coverage"]["labelled"]
        assert figures["days"] == task.policy.slice_days
        assert figures["utility_per_1000"]["estimate"] == pytest.approx(
            earned(lived, recipe, inside), rel=1e-5
        )
        assert versions[recipe]["timing"]["cpu_us_p99"] > 0
    assert versions["line"]["unlike_served"] == 0
    assert versions["trees"]["unlike_served"] > 0.05
    (gain,) = found["gains"]
    difference = earned(lived, "trees", inside) - earned(lived, "line", inside)
    assert abs(gain["per_1000"]["estimate"]) == pytest.approx(difference, rel=1e-5)


def test_hold_out_of_what_ships_is_its_recipes(lived):
    found = lived.json("evaluate", TASK)
    (hold_out,) = found["hold_outs"]
    for recipe, version in by_name(found).items():
        assert version["holdout"]["of_recipe"]
        assert version["holdout"]["utility_per_1000"]["estimate"] == lived.fitted[recipe]["utility_per_1000"]
        assert version["holdout"]["utility_per_1000"]["lower"] == lived.fitted[recipe]["utility_lower"]
        assert hold_out["figures"][version["model"]["digest"]] == version["holdout"]


def test_any_past_stretch_may_be_asked_for(lived):
    name = lived.fitted["trees"]["bundle"][:12]
    found = lived.json("evaluate", TASK, "--version", name, "--since", DATE[33], "--until", DATE[36])
    (version,) = found["versions"]
    day = (lived.traffic.event_ns - START_NS) // DAY_NS
    inside = (day >= 33) & (day < 36)
    assert version["figures"]["rows"] == inside.sum()
    assert version["figures"]["utility_per_1000"]["estimate"] == pytest.approx(
        earned(lived, "trees", inside), rel=1e-5
    )
    assert len(version["figures"]["calibration"]["bins"]) > 5
    assert "Reliability" in lived.command("evaluate", TASK, "--version", name).stdout


def test_what_has_not_matured_is_not_looked_at(lived):
    assert "has matured" in lived.error("evaluate", TASK, "--since", DATE[FIRST_DAY + DAYS - 1])
    found = lived.json("evaluate", TASK, "--since", DATE[30], "--as-of", DATE[33])
    assert found["coverage"]["served"] == found["coverage"]["labelled"]
    assert found["span"]["until_ns"] == START_NS + 32 * DAY_NS


def test_days_a_version_was_fitted_on_are_left_out(home):
    snapshot = home.json("snapshot", TASK, "--as-of", DATE[41])["digest"]
    fitted = home.json("fit", TASK, "--snapshot", snapshot, "--recipe", "trees", "--version", "young")[
        "fitted"
    ]
    with home.registry as registry:
        register(registry, Path(fitted[0]["path"]), Reason("tester", "later"))
    found = home.json("evaluate", TASK)
    young = by_name(found)["young"]
    assert young["days_fitted"] > 5
    assert young["coverage"]["served"] == young["figures"]["rows"] < found["coverage"]["served"]
    day = (home.traffic.event_ns - START_NS) // DAY_NS
    assert young["figures"]["rows"] == ((day >= 41) & (day < 45)).sum()
    assert any("young was fitted on rows up to" in line for line in found["footnotes"])
    assert not any("young" in (gain["of"], gain["over"]) for gain in found["gains"])
    # Its hold-out is later than what the others were fitted on: they are scored on it themselves.
    hold_out = {one["snapshot"]: one for one in found["hold_outs"]}[snapshot]
    scored = {digest: figures["of_recipe"] for digest, figures in hold_out["figures"].items()}
    assert scored[young["model"]["digest"]]
    assert not scored[home.fitted["line"]["bundle"]]
    # But it was fitted on what came after the others' hold-out, so there it has no figure.
    other = next(one for one in found["hold_outs"] if one["snapshot"] != snapshot)
    assert young["model"]["digest"] not in other["figures"]
    nothing = home.json("evaluate", TASK, "--version", "young", "--since", DATE[30], "--until", DATE[35])
    assert nothing["versions"][0]["figures"] is None


def test_ranking_that_the_hold_out_got_wrong_is_said_first(home, monkeypatch):
    """The good days end: what was bad is good, so what acted most loses most."""
    found = home.json("evaluate", TASK)
    assert found["disagreements"] == []
    assert "as the hold-out and as accuracy do" in found["headlines"][0]

    def turned(first_day, days):
        rows = small_task.traffic(first_day, days)
        rows.label[:] = 1 - rows.label
        return rows

    monkeypatch.setattr("small_home.traffic", turned)
    home.live(16)
    found = home.json("evaluate", TASK)
    (of_hold_out,) = [one for one in found["disagreements"] if one["measure"] == "hold-out"]
    assert of_hold_out["first"].startswith("trees")
    assert of_hold_out["settled"]
    assert found["headlines"][0].startswith("The hold-out of")
    assert home.command("evaluate", TASK).stdout.startswith("The hold-out of")


def test_outcomes_that_depend_on_the_decision_are_said_to_be_censored(home):
    found = home.json("evaluate", TASK)
    assert not any(line.startswith("Censored") for line in found["footnotes"])
    home.live(15, known=lambda _, decision: np.flatnonzero(~decision))
    found = home.json("evaluate", TASK)
    assert found["censoring"]["acted_labelled"] == 0
    assert found["censoring"]["passed_labelled"] == 1
    assert any(line.startswith("Censored: 0.00%") for line in found["footnotes"])
    assert found["coverage"]["labelled"] < found["coverage"]["served"]


def test_explored_rows_stand_for_those_that_hid_their_outcome(lived, tmp_path):
    home, exploration = Home(tmp_path), exploring_task.task.exploration
    line, trees = (open_bundle(Path(lived.fitted[recipe]["path"])) for recipe in ("line", "trees"))
    explores = write_bundle(
        tmp_path / "bundles",
        name=line.model.name,
        version="line-explores",
        signature=line.signature,
        feature_names=line.feature_names,
        files={name: (line.path / name).read_bytes() for name in (PIPELINE, TRANSFORM, REFERENCE)},
        facts={**line.manifest, EXPLORATION: exploration.to_json()},
    )
    (tmp_path / "var").mkdir()
    with home.registry as registry:
        promote_first(registry, explores.path, Reason("tester", "first"))
        register(registry, trees.path, Reason("tester", "beside"))

    def shown(rows, decision):
        taken = decision != is_explored(exploration.propensity(rows.request_ids, decision))
        return np.flatnonzero(~taken)

    home.traffic, home.fitted = home.live(DAYS, known=shown), lived.fitted
    found = home.json("evaluate", str(Path(exploring_task.__file__)))
    newest = FIRST_DAY + DAYS - 1
    day = (home.traffic.event_ns - START_NS) // DAY_NS
    inside = (day >= newest - task.policy.slice_days) & (day < newest)
    versions = by_name(found)
    for recipe in ("line", "trees"):
        figures, truth = versions[recipe]["figures"], earned(home, recipe, inside)
        # 80 at most a row, drawn with a chance of three in ten.
        error = 1000 * 40 * (inside.sum() * 0.3 * (1 / 0.3 - 1)) ** 0.5 / inside.sum()
        assert abs(figures["utility_per_1000"]["estimate"] - truth) < 3 * error
        assert figures["rows"] == found["coverage"]["labelled"]
    assert found["coverage"]["labelled"] + found["coverage"]["hidden"] == inside.sum()
    assert found["censoring"]["without_chance"] == 0
    said = " ".join(found["footnotes"])
    assert f"{found['coverage']['hidden']:,} replies hid their outcome" in said
    assert "Censored" not in said
    assert "Not identifiable" not in said


def test_hidden_outcomes_that_none_stands_for_are_said_to_be(home):
    found = home.json("evaluate", str(Path(exploring_task.__file__)))
    hidden = found["coverage"]["hidden"]
    assert found["censoring"]["without_chance"] == hidden > 0
    assert any(line.startswith(f"Not identifiable: {hidden:,} of the hidden") for line in found["footnotes"])


def test_slices_with_enough_rows_have_figures_of_their_own(lived):
    found = by_name(lived.json("evaluate", TASK))
    slices = {one["value"]: one for one in found["trees"]["slices"]}
    assert slices.keys() == {"web", "shop", "missing"}
    assert sum(one["rows"] for one in slices.values()) == found["trees"]["figures"]["rows"]
    for one in slices.values():
        assert one["gain_per_1000"]["lower"] > 0
        assert one["gain_p"] < 0.05
        assert one["labelled_share"] == 1
    assert all(one["gain_p"] is None for one in found["line"]["slices"])


@pytest.mark.parametrize(("by", "periods"), [("day", 15), ("week", 3), ("month", 2)])
def test_table_over_time_covers_every_row_once(lived, by, periods):
    found = lived.json("evaluate", TASK, "--by", by)["periods"]
    assert len(found) == periods
    day = (lived.traffic.event_ns - START_NS) // DAY_NS
    assert sum(one["served"] for one in found) == (day < FIRST_DAY + DAYS - 1).sum()
    for one in found:
        assert {figures["rows"] for figures in one["figures"].values()} == {one["labelled"]}
    assert "USD per 1,000" in lived.command("evaluate", TASK, "--by", by).stdout


def test_only_admitted_versions_are_run(home):
    snapshot = home.json("snapshot", TASK, "--history-until", "2024-01-25")["digest"]
    fitted = home.json("fit", TASK, "--snapshot", snapshot, "--recipe", "line", "--version", "wild")["fitted"]
    with home.registry as registry:
        registry.register(load_model(Path(fitted[0]["path"])).bundle, Reason("tester", "unchecked"))
    assert "wild" in home.json("evaluate", TASK)["left_out"]
    assert "has not passed the admission check" in home.error("evaluate", TASK, "--version", "wild")
    assert "no version has a digest" in home.error("evaluate", TASK, "--version", "nobody")


def test_what_is_scored_again_is_what_was_served_bit_for_bit(lived):
    with LogReader(lived.path / "var" / "log.db") as reader:
        rows = read_rows(reader, task.signature, task.maturity)
    again = rescore(load_model(Path(lived.fitted["line"]["path"])), rows.blocks)
    assert again.valued.all()
    assert again.score.tobytes() == rows.score.tobytes()
    assert np.array_equal(again.decision, rows.decision)


def test_row_that_fails_spoils_no_other(lived):
    model = load_model(Path(lived.fitted["line"]["path"]))
    rows = small_task.traffic(0, 30)
    blocks = SIGNATURE.pack_columns(rows.columns)
    assert len(blocks) > BATCH_ROWS
    bad = {7, 8, 5_000}
    poison = {blocks.numbers[row, 1] for row in bad}

    class Fragile:
        """The model, but for some rows that it cannot score."""

        def run(self, part):
            if poison & set(part.numbers[:, 1].tolist()):
                raise ModelFailedError("made to fail")
            return model.run(part)

    failing = np.isin(blocks.numbers[:, 1], list(poison))
    scored = rescore(Fragile(), blocks)
    assert np.array_equal(scored.valued, ~failing)
    assert scored.score[scored.valued].tobytes() == model.run(blocks).score[~failing].tobytes()
    assert np.isnan(scored.score[failing]).all()
