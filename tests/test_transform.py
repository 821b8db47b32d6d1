import numpy as np
import pytest
from export_rows import BLOCKS, ONE_HOT, ORDINAL, ROWS, fitted
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)

from trainer.errors import ExportError
from trainer.export import compute_features, export_transform
from trainer.task import Columns


@pytest.mark.parametrize(
    ("fields", "step"),
    [
        (("a", "pressure"), "passthrough"),
        (("pressure",), StandardScaler()),
        (("a", "stake"), make_pipeline(SimpleImputer(), RobustScaler())),
        (("stake", "a"), make_pipeline(SimpleImputer(strategy="constant", fill_value=-1), MinMaxScaler())),
        (("a",), make_pipeline(SimpleImputer(), QuantileTransformer(n_quantiles=50))),
        (
            ("stake",),
            KBinsDiscretizer(5, encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
        ),
        (("minute",), "passthrough"),
        (("minute",), StandardScaler()),
        (("minute",), OneHotEncoder(handle_unknown="ignore")),
        (("origin", "carrier"), ONE_HOT),
        (("carrier",), OneHotEncoder(handle_unknown="ignore")),
        (("carrier", "origin"), ORDINAL),
    ],
)
def test_features_are_scikit_learns(fields, step):
    transform = fitted(Columns(fields, step))
    got = compute_features(export_transform(transform), BLOCKS)
    wanted = transform.reference(BLOCKS)
    assert got.dtype == np.float32
    assert got.shape == (ROWS, len(transform.feature_names))
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-5)


def test_feature_names_follow_the_columns_and_stay_distinct():
    transform = fitted(Columns(("a",)), Columns(("a",), SimpleImputer()), Columns(("carrier",), ONE_HOT))
    assert transform.feature_names == ("a@0", "a@1", "carrier_AA", "carrier_B6")


def test_unseen_and_missing_texts_are_encoded_as_fitted():
    transform = export_transform(fitted(Columns(("origin",), ORDINAL), Columns(("carrier",), ONE_HOT)))
    blocks = BLOCKS.take([0, 1, 2])
    blocks.texts[:] = [["", "AA"], ["LGA", "AA"], ["JFK", "9E"]]
    assert compute_features(transform, blocks).tolist() == [[0, 1, 0], [-1, 1, 0], [2, 0, 0]]


def test_numbers_out_of_bounds_are_missing_where_so_declared():
    transform = export_transform(fitted(Columns(("pressure", "a", "stake"))))
    blocks = BLOCKS.take([0, 1, 2, 3])
    beyond = np.nextafter(np.float32(1100), np.float32(2000))
    blocks.numbers[:] = [[9999, 899, -1], [0, 900, 0], [0, 1100, 0], [0, beyond, 0]]
    features = compute_features(transform, blocks)
    assert np.isnan(features[:, 0]).tolist() == [True, False, False, True]
    assert features[0, 1:].tolist() == [
        9999,
        -1,
    ]  # no bounds, and bounds that are the request edge's business


def test_what_is_out_of_bounds_is_missing_to_the_fit_as_well():
    blocks = BLOCKS.take(slice(None))
    within = fitted(Columns(("pressure",), SimpleImputer())).parts[0].step.statistics_
    broken = BLOCKS.numbers[:, 1].copy()
    BLOCKS.numbers[np.isnan(broken), 1] = 1e6
    try:
        assert fitted(Columns(("pressure",), SimpleImputer())).parts[0].step.statistics_ == within
    finally:
        blocks.numbers[:, 1] = broken


@pytest.mark.parametrize(
    ("fields", "step", "says"),
    [
        (("a",), KNNImputer(), "KNNImputer is refused.*use SimpleImputer"),
        (("stake",), make_pipeline(SplineTransformer(), StandardScaler()), "SplineTransformer is refused"),
        (("stake",), QuantileTransformer(output_distribution="normal"), "uniform"),
        (("stake",), FunctionTransformer(np.cbrt), "FunctionTransformer is refused.*before it is sent"),
        (("carrier",), OneHotEncoder(), "handle_unknown='ignore'"),
        (("carrier",), OrdinalEncoder(), "handle_unknown='use_encoded_value'"),
        (("carrier", "origin"), "passthrough", "step for carrier, origin: text cannot pass"),
        (
            ("a",),
            OneHotEncoder(handle_unknown="ignore", categories=[[5, 1]]),
            "OneHotEncoder cannot be fitted",
        ),
    ],
)
def test_what_cannot_be_exported_exactly_is_refused_with_what_to_use_instead(fields, step, says):
    with pytest.raises(ExportError, match=says):
        fitted(Columns(fields, step))


def test_a_step_without_a_converter_is_named():
    class Doubling(StandardScaler):
        """skl2onnx knows converters by exact class."""

    with pytest.raises(ExportError, match="step for stake: Doubling cannot be exported"):
        export_transform(fitted(Columns(("stake",), Doubling())))
