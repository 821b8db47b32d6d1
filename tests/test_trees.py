import numpy as np
import pytest
from export_rows import GAPS, LABEL, export
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from sidecar.session import open_session
from trainer.export import export_model
from trainer.trees import floor32, read_ensemble

ANY = st.floats(allow_nan=False)
FLOAT32 = st.floats(width=32, allow_nan=False)


@given(st.lists(ANY, min_size=1))
def test_floor32_is_the_largest_float32_not_above(values):
    values = np.array(values)
    floors = floor32(values)
    assert (floors <= values).all()
    with np.errstate(over="ignore"):
        above = np.nextafter(floors, np.float32(np.inf))
    assert (above > values)[floors != np.inf].all()


@given(FLOAT32, ANY)
def test_a_float32_compares_with_the_floor_as_with_the_threshold(value, threshold):
    assert (np.float32(value) <= floor32(np.array([threshold]))[0]) == (np.float64(value) <= threshold)


@pytest.mark.parametrize(
    "model",
    [HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=1), DecisionTreeClassifier()],
    ids=lambda value: type(value).__name__,
)
def test_thresholds_between_adjacent_floats_send_rows_the_right_way(model):
    # scikit-learn puts a threshold in float64 between two neighbouring float32 values; rounding it to float32
    # could put it on the upper one, which would then go the wrong way.
    values = np.float32(1000) + np.spacing(np.float32(1000)) * np.arange(64, dtype=np.float32)
    features = np.repeat(values, 40).reshape(-1, 1)
    label = (np.arange(len(features)) // 40) % 2
    model.fit(features, label)
    (score,) = open_session(export_model(model, 1)).run(["score"], {"features": features})
    np.testing.assert_allclose(score, model.predict_proba(features)[:, 1], atol=1e-6)


@pytest.mark.parametrize(
    "model",
    [HistGradientBoostingClassifier(max_iter=10), RandomForestClassifier(10, max_depth=8, random_state=0)],
    ids=lambda value: type(value).__name__,
)
def test_missing_values_go_where_scikit_learn_sends_them(model):
    exported = export(GAPS, model)
    holes = exported.features.copy()
    holes[np.random.default_rng(1).random(holes.shape) < 0.5] = np.nan
    (score,) = open_session(exported.files[1]).run(["score"], {"features": holes})
    np.testing.assert_allclose(score, model.predict_proba(holes)[:, 1], atol=1e-6)


def test_edge_rows_stand_on_both_sides_of_every_threshold():
    model = DecisionTreeClassifier(max_depth=6, random_state=0)
    features = np.random.default_rng(3).normal(size=(len(LABEL), 4)).astype(np.float32)
    model.fit(features, LABEL)
    rows = read_ensemble(model).edge_rows(features, 10_000)
    inner = np.flatnonzero(model.tree_.children_left >= 0)
    assert len(rows) == 2 * len(inner)
    visited = model.decision_path(rows)
    for place, node in enumerate(inner):
        assert visited[2 * place, node]
        assert visited[2 * place, model.tree_.children_left[node]]
        assert visited[2 * place + 1, model.tree_.children_right[node]]


def test_edge_rows_are_no_more_than_asked_for():
    exported = export(GAPS, HistGradientBoostingClassifier(max_iter=30))
    rows = read_ensemble(exported.model).edge_rows(exported.features, 100)
    assert 50 <= len(rows) <= 100
    assert not np.isinf(rows).any()


def test_other_models_have_no_trees():
    assert read_ensemble(LogisticRegression()) is None
