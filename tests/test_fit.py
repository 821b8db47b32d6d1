from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import small_task
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from small_snapshot import small_snapshot

from sidecar.bundle import TRANSFORM
from sidecar.exploration import Exploration
from sidecar.session import load_model
from trainer.days import DAY_NS, nanoseconds
from trainer.errors import ExportError
from trainer.export import compute_features
from trainer.fit import fit_candidate
from trainer.task import Candidate, Columns, Threshold, Transform

TASK = small_task.task
DAYS = 30
HOLDOUT_DAYS = TASK.holdout // timedelta(days=1)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    return small_snapshot(tmp_path_factory.mktemp("snapshots"), DAYS)


def with_recipe(estimator, transform=small_task.TRANSFORM, **change):
    return replace(TASK, candidates={"line": Candidate(estimator, transform)}, **change)


def holdout_of(snapshot):
    return snapshot.event_ns > snapshot.event_ns[-1] - HOLDOUT_DAYS * DAY_NS


def test_the_bundle_serves_what_the_report_and_the_manifest_say(snapshot, tmp_path):
    stages = []
    fitted = fit_candidate(TASK, "trees", snapshot, bundles=tmp_path, progress=stages.append)
    manifest = fitted.bundle.manifest
    assert str(fitted.bundle.model).startswith(f"small/trees-{snapshot.digest[:8]}@")
    assert manifest["recipe"] == "trees"
    assert manifest["estimator"]["parameters"]["max_iter"] == 20
    assert manifest["snapshot"] == snapshot.digest
    assert manifest["costs_digest"] == TASK.costs.digest
    assert manifest["decision"] == {"rule": "expected_utility"}
    assert "exploration" not in manifest
    assert manifest["training"] == {
        "rows": len(snapshot.label),
        "first_event_ns": int(snapshot.event_ns[0]),
        "last_event_ns": int(snapshot.event_ns[-1]),
    }
    assert manifest["parity"]["score_difference"] <= 1e-6
    assert manifest["holdout"]["utility_per_1000"] == fitted.report.utility_per_1000
    assert fitted.report.rows == holdout_of(snapshot).sum()
    assert 0.8 < fitted.report.auc < 1
    assert 0 < fitted.report.cpu_us_p50 <= fitted.report.cpu_us_p99
    assert stages[0].startswith("trees: fitting on ")
    assert load_model(fitted.bundle.path).run(snapshot.blocks).decision.any()


def test_boosting_earns_more_than_the_line_because_it_sees_more(snapshot, tmp_path):
    line, trees = (fit_candidate(TASK, name, snapshot, bundles=tmp_path).report for name in ("line", "trees"))
    assert trees.utility_per_1000 > line.utility_per_1000 + 500
    assert trees.log_loss < line.log_loss


def test_the_same_snapshot_and_recipe_give_the_same_bundle(snapshot, tmp_path):
    def forest():
        return RandomForestClassifier(20, max_depth=6, n_jobs=2)  # without a random_state of its own

    task = with_recipe(forest)
    first, second = (fit_candidate(task, "line", snapshot, bundles=tmp_path / each) for each in "ab")
    assert first.bundle.model.digest == second.bundle.model.digest


def test_models_learn_from_the_exported_features_and_the_first_fit_knows_what_was_known(snapshot, tmp_path):
    seen = []

    class Recorded(LogisticRegression):
        def fit(self, features, label):
            seen.append(features)
            return super().fit(features, label)

    Recorded.__name__ = "LogisticRegression"
    fitted = fit_candidate(with_recipe(Recorded), "line", snapshot, bundles=tmp_path)
    early, final = seen
    exported = (fitted.bundle.path / TRANSFORM).read_bytes()
    assert final.tobytes() == compute_features(exported, snapshot.blocks).tobytes()
    split_ns = snapshot.event_ns[-1] - HOLDOUT_DAYS * DAY_NS
    assert len(early) == (snapshot.event_ns + nanoseconds(TASK.maturity) <= split_ns).sum()


def test_a_threshold_is_chosen_on_half_the_hold_out_and_measured_on_the_other(snapshot, tmp_path):
    task = replace(TASK, decision=Threshold(), hidden_by="act", explore=0.25)
    fitted = fit_candidate(task, "trees", snapshot, bundles=tmp_path)
    assert fitted.bundle.exploration == Exploration("act", 0.25)
    rows = holdout_of(snapshot).sum()
    assert fitted.report.rows == rows - rows // 2
    decision = fitted.bundle.manifest["decision"]
    assert decision["rule"] == "threshold"
    assert 0 < decision["threshold"] < 1
    prediction = load_model(fitted.bundle.path).run(snapshot.blocks)
    assert np.array_equal(prediction.decision, prediction.score >= np.float32(decision["threshold"]))


def test_a_row_of_the_hold_out_counts_for_as_many_as_it_stands_for(snapshot, tmp_path):
    weight = np.ones(len(snapshot))
    weight[-1] = 1e9
    report = fit_candidate(TASK, "line", replace(snapshot, weight=weight), bundles=tmp_path).report
    assert min(report.accuracy, 1 - report.accuracy) < 1e-5
    assert report.acted == pytest.approx(round(report.acted), abs=1e-5)


def test_a_hold_out_with_one_label_has_no_auc(snapshot, tmp_path):
    one_sided = replace(snapshot, label=np.where(holdout_of(snapshot), 0.0, snapshot.label), digest="0" * 64)
    fitted = fit_candidate(TASK, "line", one_sided, bundles=tmp_path, version="mine")
    assert np.isnan(fitted.report.auc)
    assert fitted.bundle.manifest["holdout"]["auc"] is None
    assert fitted.bundle.model.version == "mine"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"holdout": timedelta(days=DAYS)}, "no row that had matured before its hold-out"),
        (
            {"holdout": timedelta(microseconds=1), "decision": Threshold()},
            "too few rows to choose a threshold",
        ),
        ({"signature": small_task.Signature(small_task.SIGNATURE.fields[::-1])}, "another signature"),
    ],
)
def test_a_snapshot_that_does_not_fit_the_task_is_refused(snapshot, tmp_path, change, says):
    with pytest.raises(ExportError, match=says):
        fit_candidate(replace(TASK, **change), "line", snapshot, bundles=tmp_path)


def test_an_unknown_recipe_names_those_there_are(snapshot, tmp_path):
    with pytest.raises(ExportError, match="no candidate 'nope'; the task has line, trees"):
        fit_candidate(TASK, "nope", snapshot, bundles=tmp_path)


def test_rows_of_one_label_are_refused(snapshot, tmp_path):
    with pytest.raises(ExportError, match="same label"):
        fit_candidate(TASK, "line", replace(snapshot, label=np.zeros_like(snapshot.label)), bundles=tmp_path)


def test_a_model_that_cannot_take_missing_values_is_named(snapshot, tmp_path):
    task = with_recipe(LogisticRegression, Transform((Columns(("x", "amount")),)))
    with pytest.raises(ExportError, match="LogisticRegression cannot be fitted: Input X contains NaN"):
        fit_candidate(task, "line", snapshot, bundles=tmp_path)


def test_a_refused_export_leaves_no_bundle(snapshot, tmp_path):
    def boosting():
        return HistGradientBoostingClassifier(max_iter=5, categorical_features=[0])

    task = with_recipe(boosting, Transform((Columns(("hour",)),)))
    with pytest.raises(ExportError, match="categorical_features"):
        fit_candidate(task, "line", snapshot, bundles=tmp_path)
    assert list(tmp_path.iterdir()) == []
