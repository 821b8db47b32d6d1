import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import small_task
from scipy.stats import loguniform, randint
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_home import Home
from small_snapshot import small_snapshot

from trainer.errors import ExportError
from trainer.figures import Judged
from trainer.fit import fit_candidate
from trainer.offline import divide
from trainer.search import Search, words
from trainer.search_report import search_note
from trainer.task import Candidate, Threshold
from trainer.tries import compare, search

TASK = small_task.task
LEAVES = {"max_leaf_nodes": [2, 8], "max_iter": [2, 20]}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    return small_snapshot(tmp_path_factory.mktemp("snapshots"), 30)


def boosting():
    return HistGradientBoostingClassifier(random_state=0)


def with_search(asked, estimator=boosting, **change):
    recipe = Candidate(estimator, small_task.TRANSFORM, asked)
    return replace(TASK, candidates={"trees": recipe}, champion="trees", **change)


def known_before_the_hold_out(task, snapshot):
    return snapshot.oldest(divide(task, snapshot)[0])


# --- What is tried ----------------------------------------


def test_a_grid_that_is_small_enough_is_tried_whole_and_in_order():
    assert Search(LEAVES, tries=4).settings(1) == (
        {"max_iter": 2, "max_leaf_nodes": 2},
        {"max_iter": 2, "max_leaf_nodes": 8},
        {"max_iter": 20, "max_leaf_nodes": 2},
        {"max_iter": 20, "max_leaf_nodes": 8},
    )
    assert Search([{}, {"C": [1.0, 2.0]}], tries=9).settings(1) == ({}, {"C": 1.0}, {"C": 2.0})


def test_of_a_larger_space_so_many_are_drawn_and_the_seed_says_which():
    asked = Search({"C": np.array([0.1, 1.0, 10.0]), "max_iter": randint(100, 1000)}, tries=5)
    drawn = asked.settings(1)
    assert len(drawn) == 5
    assert drawn == asked.settings(1) != asked.settings(2)
    json.dumps(drawn)  # nothing of NumPy's is left, so that manifests can say it
    of_grid = Search(LEAVES, tries=3).settings(1)
    assert len({words(setting) for setting in of_grid}) == 3


@pytest.mark.parametrize(
    ("space", "tries", "says"),
    [
        ({"C": 1.0}, 3, "search: Parameter grid for parameter 'C' needs to be a list"),
        ({"C": []}, 3, "parameter 'C' need to be a non-empty sequence"),
        ([], 3, "the space is empty"),
        ({"C": [1.0]}, 0, "search: tries must be at least 1"),
    ],
)
def test_a_space_that_says_nothing_is_refused(space, tries, says):
    with pytest.raises(ValueError, match=says):
        Search(space, tries=tries)


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({"max_leaves": [4]}, "'trees': .* no parameter 'max_leaves'; did you mean 'max_leaf_nodes'?"),
        ([{}, {"zzz": [1]}], "no parameter 'zzz'; it has categorical_features, class_weight, "),
        ({"learning_rate": [0.1], "zzz": loguniform(1, 2)}, "no parameter 'zzz'"),
    ],
)
def test_a_parameter_that_the_estimator_lacks_is_named_by_the_task(space, says):
    with pytest.raises(ValueError, match=says):
        with_search(Search(space, tries=2))


# --- Which is chosen ----------------------------------------


def earned(*money, right=(True,) * 4):
    label = np.array([0.0, 1.0, 0.0, 1.0])
    score = np.where(np.array(right), label, 1 - label).astype(np.float32)
    day_ns = small_task.DAY_NS * np.array([0, 0, 1, 1])
    return Judged(np.array(money), score, score > 0.5, label, day_ns, np.ones(4))


def test_money_chooses_and_the_report_says_what_accuracy_and_auc_would_have_chosen():
    rich = earned(5, 5, 5, 9, right=(True, False, True, True))
    found = compare([{"C": 1}, {"C": 2}], [earned(1, 1, 1, 1), rich], [10, 20], stretches=1)
    assert (found.chosen, found.by_accuracy, found.by_auc) == (1, 0, 0)
    assert found.tries[0].behind.estimate == pytest.approx(5000)
    assert found.tries[0].behind.days == 2
    assert search_note(found, "USD") == (
        "Chosen by money out of 2: C=2. "
        "Accuracy would have chosen C=1, which earned USD 5,000 per 1,000 less. "
        "AUC would have chosen C=1, which earned USD 5,000 per 1,000 less."
    )


def test_of_equals_the_first_is_chosen():
    found = compare([{"C": 1}, {"C": 2}], [earned(1, 2, 3, 4), earned(4, 3, 2, 1)], [1, 1], stretches=1)
    assert (found.chosen, found.by_accuracy, found.by_auc) == (0, 0, 0)
    assert search_note(found, "USD").endswith("Accuracy and AUC would have chosen the same.")


# --- What it is measured on ----------------------------------------


def test_the_hold_out_has_no_part_in_the_choice(snapshot):
    task = with_search(Search(LEAVES, tries=4))
    chosen = search(task, "trees", known_before_the_hold_out(task, snapshot))
    held_out = snapshot.event_ns > snapshot.event_ns[-1] - TASK.holdout // timedelta(microseconds=1) * 1000
    turned = replace(snapshot, label=np.where(held_out, 1 - snapshot.label, snapshot.label))
    assert search(task, "trees", known_before_the_hold_out(task, turned)) == chosen
    assert chosen.setting == {"max_iter": 20, "max_leaf_nodes": 8}
    assert chosen.tries[0].bytes < chosen.tries[3].bytes


def test_every_setting_is_fitted_on_what_had_matured_before_its_stretch(snapshot):
    seen = []

    class Recorded(LogisticRegression):
        def fit(self, features, label):
            seen.append(len(features))
            return super().fit(features, label)

    Recorded.__name__ = "LogisticRegression"
    task = with_search(Search({"C": [0.1, 1.0]}, tries=2, stretches=2), Recorded)
    known = known_before_the_hold_out(task, snapshot)
    found = search(task, "trees", known)
    wanted, past, measured = [], known, 0
    for _ in range(2):
        begins_ns = past.event_ns[-1] - TASK.holdout // timedelta(microseconds=1) * 1000
        measured += (past.event_ns > begins_ns).sum()
        maturity_ns = TASK.maturity // timedelta(microseconds=1) * 1000
        before = int((past.event_ns + maturity_ns <= begins_ns).sum())
        wanted += [before, before]
        past = past.oldest(before)
    assert seen == wanted
    assert found.tries[0].measured.rows == measured


def test_a_threshold_rule_is_chosen_on_half_of_the_stretch(snapshot):
    task = with_search(Search(LEAVES, tries=4), decision=Threshold())
    known = known_before_the_hold_out(task, snapshot)
    rows = len(known) - divide(task, known)[1]
    assert search(task, "trees", known).tries[0].measured.rows == rows - rows // 2


def test_too_few_rows_for_the_stretches_are_named(snapshot):
    task = with_search(Search(LEAVES, tries=4, stretches=5))
    with pytest.raises(ExportError, match="no row that had matured before its hold-out"):
        fit_candidate(task, "trees", snapshot, bundles=Path("never"))


def test_a_setting_that_cannot_be_fitted_is_named(snapshot, tmp_path):
    task = with_search(Search({"C": [1.0, -1.0]}, tries=2), LogisticRegression)
    with pytest.raises(ExportError, match=r"search: with C=-1.0: LogisticRegression cannot be fitted"):
        fit_candidate(task, "trees", snapshot, bundles=tmp_path)


# --- What becomes of it ----------------------------------------


def test_the_same_snapshot_gives_the_same_choice_and_the_same_bundle(snapshot, tmp_path):
    asked = Search({"learning_rate": loguniform(0.01, 0.5), "max_iter": [5]}, tries=3)
    first, second = (
        fit_candidate(with_search(asked), "trees", snapshot, bundles=tmp_path / each) for each in "ab"
    )
    assert first.bundle.model.digest == second.bundle.model.digest
    assert first.searched == second.searched
    other = replace(snapshot, digest="f" * 64)
    assert search(with_search(asked), "trees", other).tries[0].setting != first.searched.tries[0].setting


def test_the_chosen_setting_ships_and_the_manifest_says_out_of_how_many(snapshot, tmp_path):
    fitted = fit_candidate(with_search(Search(LEAVES, tries=4)), "trees", snapshot, bundles=tmp_path)
    manifest = fitted.bundle.manifest
    said = manifest["search"]
    assert len(said["tried"]) == 4
    assert said["tried"][said["chosen"]]["setting"] == {"max_iter": 20, "max_leaf_nodes": 8}
    assert manifest["estimator"]["parameters"]["max_leaf_nodes"] == 8
    plain = Candidate(lambda: boosting().set_params(max_iter=20, max_leaf_nodes=8), small_task.TRANSFORM)
    alone = replace(TASK, candidates={"trees": plain}, champion="trees")
    same = fit_candidate(alone, "trees", snapshot, bundles=tmp_path)
    assert "search" not in same.bundle.manifest
    for file in ("pipeline.onnx", "transform.onnx", "reference.npz"):
        assert (fitted.bundle.path / file).read_bytes() == (same.bundle.path / file).read_bytes()
    assert fitted.report.utility_per_1000 == same.report.utility_per_1000


def test_inner_steps_are_named_as_in_scikit_learn(snapshot):
    task = with_search(
        Search({"logisticregression__C": [1e-6, 1.0]}, tries=2),
        lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    )
    found = search(task, "trees", known_before_the_hold_out(task, snapshot))
    assert [one.setting for one in found.tries] == [
        {"logisticregression__C": 1e-6},
        {"logisticregression__C": 1.0},
    ]
    assert found.tries[0].measured.auc != found.tries[1].measured.auc


def test_the_command_shows_every_setting_and_one_bundle(tmp_path):
    source = Path(small_task.__file__).read_text()
    path = tmp_path / "searching.py"
    path.write_text(
        source.replace(
            "random_state=0), TRANSFORM\n",
            "random_state=0), TRANSFORM, Search({'max_leaf_nodes': [2, 8]}, tries=2),\n",
        ).replace("from trainer.task import", "from trainer.search import Search\nfrom trainer.task import")
    )
    home = Home(tmp_path)
    digest = home.json("snapshot", str(path), "--history-until", "2024-02-01")["digest"]
    fit = ("fit", str(path), "--snapshot", digest, "--recipe", "trees")
    shown = home.command(*fit).stdout
    assert "Settings of trees, on " in shown
    assert "max_leaf_nodes=2" in shown
    assert "Chosen by money out of 2: max_leaf_nodes=8." in shown
    (fitted,) = home.json(*fit)["fitted"]
    assert [one["setting"] for one in fitted["search"]["tried"]] == [
        {"max_leaf_nodes": 2},
        {"max_leaf_nodes": 8},
    ]
    path.write_text(path.read_text().replace("'max_leaf_nodes'", "'max_leafs'"))
    assert "'max_leafs'" in home.error(*fit)
