"""A fitted classifier, written into a graph as the probability of the positive label."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType

from sidecar.session import FEATURES
from trainer.errors import ExportError, first_line
from trainer.graph import OPSETS
from trainer.refusal import refuse_classifier
from trainer.trees import read_ensemble

if TYPE_CHECKING:
    from trainer.graph import Graph


def write_classifier(graph: Graph, model: Any) -> str:
    """Append nodes from "features" to the score; return its name, float32 [rows, 1].

    Linear models and tree ensembles are written such that a row scores the same alone and in a batch, bit for
    bit; others are left to skl2onnx. Raises ExportError when `model` has no exact export.
    """
    name = type(model).__name__
    refuse_classifier(model, "estimator")
    if not hasattr(model, "predict_proba"):
        raise ExportError(f"estimator {name} gives no probability; use CalibratedClassifierCV around it")
    if name in {"LogisticRegression", "LogisticRegressionCV"}:
        return _write_logistic(graph, model)
    ensemble = read_ensemble(model)
    if ensemble is not None:
        return ensemble.write(graph)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = convert_sklearn(
                model,
                initial_types=[(FEATURES, FloatTensorType([None, model.n_features_in_]))],
                options={id(model): {"zipmap": False}},
                target_opset=OPSETS,
            )
        scores = graph.inline(made, {made.graph.input[0].name: FEATURES}, made.graph.output[1].name)
    except Exception as error:  # converters raise whatever their author thought of
        text = first_line(error)
        raise ExportError(
            f"estimator {name} cannot be exported ({text}); "
            "use a logistic regression, a forest or gradient boosting"
        ) from error
    return graph.add("Gather", scores, graph.constant(np.array([1], np.int64)), axis=1)


def _write_logistic(graph: Graph, model: Any) -> str:
    # One output column: ONNX Runtime then adds up each row in the same order whatever the number of rows,
    # which neither its LinearClassifier nor ReduceSum does.
    weights = graph.constant(model.coef_.reshape(-1, 1).astype(np.float32))
    bias = graph.constant(model.intercept_.reshape(1).astype(np.float32))
    return graph.add("Sigmoid", graph.add("Gemm", FEATURES, weights, bias))
