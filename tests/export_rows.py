"""Rows of every kind, with gaps, and the parts of an export fitted on them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from sidecar.session import feed, open_session
from sidecar.signature import Blocks, Field, Kind, Outside, Signature
from trainer.decision import UtilityRule
from trainer.export import compute_features, export_model, export_pipeline, export_transform
from trainer.task import Columns, Transform
from trainer.transform import FittedTransform, fit_transform
from trainer.utility import Amount, CostTable

ROWS = 3000
SIGNATURE = Signature(
    (
        Field("a", missing_allowed=True),
        Field("pressure", missing_allowed=True, lower=900, upper=1100, outside=Outside.MISSING),
        Field("stake", lower=0),
        Field("minute", Kind.INTEGER, lower=0, upper=1439),
        Field("stamp", Kind.INTEGER),
        Field("origin", Kind.TEXT, missing_allowed=True),
        Field("carrier", Kind.TEXT),
    )
)
COSTS = CostTable(
    act_positive=Amount(10, per={"stake": 0.5, "pressure": 0.01}, missing={"pressure": 2000}),
    act_negative=Amount(-5, per={"stake": -0.1}),
    pass_positive=Amount(0, per={"pressure": -0.005}, missing={"pressure": -500}),
    pass_negative=Amount(),
    currency="USD",
    version="1",
)
ORDINAL = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
ONE_HOT = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
GAPS = Transform(
    (Columns(("a", "pressure", "stake")), Columns(("minute",)), Columns(("origin", "carrier"), ORDINAL))
)
FULL = Transform(
    (
        Columns(
            ("a", "pressure", "stake"), make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
        ),
        Columns(("minute",), StandardScaler()),
        Columns(("carrier", "origin"), ONE_HOT),
    )
)


def _make_rows():
    rng = np.random.default_rng(7)
    numbers = rng.normal(size=(ROWS, 3)).astype(np.float32)
    numbers[:, 1] = 1013 + 40 * numbers[:, 1]
    numbers[:, 2] = np.abs(numbers[:, 2]) * 100
    missing = rng.random((ROWS, 2)) < 0.15
    numbers[:, :2][missing] = np.nan
    integers = np.stack([rng.integers(0, 1440, ROWS), rng.integers(-(2**40), 2**40, ROWS)], axis=1)
    origins, carriers = np.array(["EWR", "JFK", ""], object), np.array(["AA", "B6"], object)
    texts = np.stack([rng.choice(origins, ROWS), rng.choice(carriers, ROWS)], axis=1)
    logit = np.nan_to_num(numbers[:, 0]) * 2 + missing[:, 0] + (texts[:, 0] == "JFK") + integers[:, 0] / 700
    label = (logit - 1 + rng.logistic(size=ROWS) > 0).astype(np.float64)
    return Blocks(numbers, integers, texts), label


BLOCKS, LABEL = _make_rows()


@dataclass(frozen=True)
class Exported:
    transform: FittedTransform
    model: Any
    files: tuple[bytes, bytes, bytes]
    features: np.ndarray


def fitted(*columns):
    return fit_transform(Transform(columns), SIGNATURE, BLOCKS, LABEL)


def export(transform, model, rule=None):
    """Fit and export everything, the model on the exported features."""
    made = fitted(*transform.columns)
    exported = export_transform(made)
    features = compute_features(exported, BLOCKS)
    with threadpool_limits(limits=1):
        model.fit(features, LABEL.astype(int))
    pipeline = export_pipeline(made, model, rule or UtilityRule(SIGNATURE, COSTS))
    return Exported(made, model, (exported, export_model(model, features.shape[1]), pipeline), features)


def run(graph, blocks=BLOCKS):
    """Features, score and decision of a pipeline."""
    return open_session(graph).run(["features", "score", "decision"], feed(blocks))
