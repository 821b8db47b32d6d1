import numpy as np
import onnx
import pytest
from export_rows import BLOCKS, FULL, GAPS, ROWS, export, fitted, run
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.tree import DecisionTreeClassifier

from sidecar.session import feed, open_session
from trainer.errors import ExportError
from trainer.export import compute_features, export_transform
from trainer.task import Columns


def test_the_graphs_have_the_agreed_form():
    transform, _, pipeline = export(GAPS, DecisionTreeClassifier(max_depth=3)).files
    for graph in (transform, pipeline):
        model = onnx.load_from_string(graph)
        onnx.checker.check_model(model, full_check=True)
        assert model.ir_version == 10
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [
            ("", 20),
            ("ai.onnx.ml", 3),
        ]
        assert [each.name for each in model.graph.input] == ["numbers", "integers", "texts"]
    outputs = onnx.load_from_string(pipeline).graph.output
    assert [each.name for each in outputs] == ["features", "score", "decision"]
    features, score, decision = run(pipeline)
    assert (features.shape, features.dtype) == ((ROWS, 6), np.float32)
    assert (score.shape, score.dtype) == ((ROWS,), np.float32)
    assert (decision.shape, decision.dtype) == ((ROWS,), bool)


def test_a_kind_that_no_feature_uses_is_still_an_input():
    transform = export_transform(fitted(Columns(("stake",))))
    assert compute_features(transform, BLOCKS).tolist() == BLOCKS.numbers[:, [2]].tolist()


def test_exporting_twice_gives_the_same_bytes():
    assert export(FULL, LogisticRegression()).files == export(FULL, LogisticRegression()).files


@pytest.mark.parametrize(
    ("transform", "model"),
    [
        (FULL, LogisticRegression(max_iter=300)),
        (FULL, SGDClassifier(loss="log_loss", random_state=0)),
        (GAPS, HistGradientBoostingClassifier(max_iter=30)),
        (FULL, GradientBoostingClassifier(n_estimators=20)),
        (GAPS, RandomForestClassifier(30, max_depth=8, random_state=0)),
        (GAPS, ExtraTreesClassifier(20, max_depth=8, random_state=0)),
        (GAPS, DecisionTreeClassifier(max_depth=8)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_scores_are_scikit_learns_and_a_row_alone_is_as_in_a_batch(transform, model):
    exported = export(transform, model)
    batch = run(exported.files[2])
    assert batch[0].tobytes() == exported.features.tobytes()
    np.testing.assert_allclose(batch[1], model.predict_proba(exported.features)[:, 1], atol=1e-6)
    session = open_session(exported.files[2])
    for row in range(500):
        alone = session.run(["features", "score", "decision"], feed(BLOCKS.take([row])))
        assert all(one.tobytes() == many[[row]].tobytes() for one, many in zip(alone, batch, strict=True))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (HistGradientBoostingClassifier(max_iter=3, categorical_features=[4, 5]), "categorical_features"),
        (CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=2), "method='sigmoid'"),
        (GradientBoostingClassifier(n_estimators=2, loss="exponential"), "use log_loss"),
        (GradientBoostingClassifier(n_estimators=2, init=LogisticRegression()), "no init"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_classifier_that_exports_wrongly_is_refused_with_what_to_use_instead(model, says):
    with pytest.raises(ExportError, match=says):
        export(FULL, model)


def test_a_classifier_without_a_converter_is_named():
    class Own(LogisticRegression):
        """skl2onnx knows converters by exact class."""

    with pytest.raises(ExportError, match="estimator Own cannot be exported"):
        export(FULL, Own())
