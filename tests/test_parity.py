from dataclasses import replace

import numpy as np
import onnx
import pytest
from export_rows import BLOCKS, FULL, GAPS, ROWS, SIGNATURE, export
from onnx import numpy_helper
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import PolynomialFeatures

from sidecar.signature import Blocks
from trainer.adversary import adversarial_rows
from trainer.errors import ExportError
from trainer.export import export_transform
from trainer.parity import check_parity
from trainer.task import Columns, Transform
from trainer.transform import fit_transform


def check(exported, **change):
    exported = replace(exported, **change)
    return check_parity(exported.transform, exported.model, exported.files, BLOCKS)


@pytest.mark.parametrize(
    ("transform", "model", "edges"),
    [(FULL, LogisticRegression(), 0), (GAPS, HistGradientBoostingClassifier(max_iter=20), 500)],
    ids=["linear", "trees"],
)
def test_a_true_export_passes_and_says_how_near_it_came(transform, model, edges):
    parity = check(export(transform, model))
    assert parity.real_rows == ROWS
    assert parity.adversarial_rows > 40
    assert parity.edge_rows >= edges
    assert parity.feature_difference <= 1e-6
    assert parity.score_difference <= 1e-6
    assert parity.single_rows_differ == 0


def test_another_models_scores_are_noticed():
    true, false = export(FULL, LogisticRegression()), export(FULL, LogisticRegression(C=0.9))
    with pytest.raises(ExportError, match="LogisticRegression: the exported score differs"):
        check(true, files=false.files)


def test_a_single_wrong_threshold_is_noticed():
    exported = export(GAPS, RandomForestClassifier(5, max_depth=6, random_state=0))
    model = onnx.load_from_string(exported.files[1])
    node = next(node for node in model.graph.node if node.op_type == "TreeEnsembleRegressor")
    values = next(attribute for attribute in node.attribute if attribute.name == "nodes_values").floats
    values[0] = np.nextafter(np.float32(values[0]), np.float32(np.inf))
    transform, _, pipeline = exported.files
    with pytest.raises(ExportError, match="both sides of its thresholds"):
        check(exported, files=(transform, model.SerializeToString(), pipeline))


def test_another_transforms_features_are_noticed():
    exported = export(FULL, LogisticRegression())
    model = onnx.load_from_string(exported.files[0])
    scaler = next(node for node in model.graph.node if node.op_type == "Scaler")
    next(attribute for attribute in scaler.attribute if attribute.name == "scale").floats[0] *= 1.0001
    files = (model.SerializeToString(), *exported.files[1:])
    with pytest.raises(ExportError, match="feature 'a' is"):
        check(exported, files=files)


def test_a_pipeline_that_is_not_its_parts_is_noticed():
    exported = export(FULL, LogisticRegression())
    model = onnx.load_from_string(exported.files[2])
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    bias = next(constant for constant in model.graph.initializer if constant.name == gemm.input[2])
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(1e-3), bias.name))
    with pytest.raises(ExportError, match="differs from its parts"):
        check(exported, files=(*exported.files[:2], model.SerializeToString()))


def test_a_column_that_scikit_learn_drops_is_noticed():
    numbers = BLOCKS.numbers.copy()
    numbers[:, 0] = np.nan
    blocks = Blocks(numbers, BLOCKS.integers, BLOCKS.texts)
    transform = Transform((Columns(("a", "stake"), SimpleImputer(keep_empty_features=True)),))
    empty = fit_transform(transform, SIGNATURE, blocks, np.arange(ROWS) % 2)
    assert len(empty.feature_names) == 2
    true = export(transform, LogisticRegression())
    with pytest.raises(ExportError, match="feature 'a' is"):
        check(true, files=(export_transform(empty), *true.files[1:]))


def test_features_that_overflow_are_refused_before_a_request_brings_them():
    transform = Transform((Columns(("stake",), PolynomialFeatures(3, include_bias=False)),))
    with pytest.raises(ExportError, match="a request may bring"):
        check(export(transform, LogisticRegression()))


def test_adversarial_rows_are_rows_that_a_request_may_bring():
    rows = adversarial_rows(SIGNATURE, BLOCKS)
    for row in range(len(rows)):
        SIGNATURE.pack(SIGNATURE.unpack(rows, row))
    a, pressure, stake = rows.numbers.T
    a = a[~np.isnan(a)]
    assert a.max() == -a.min() == np.float32(1e30)
    assert np.signbit(a[a == 0]).any()
    assert len(a) < len(rows)
    assert (pressure < 900).any()
    assert stake.min() == 0
    assert rows.integers[:, 1].max() > 2**53
    assert {"", "unseen"} <= set(rows.texts[:, 0])
    assert "" not in set(rows.texts[:, 1])
