"""From fitted parts to the graphs of a bundle.

raw blocks ─▶ transform ─▶ "features" ─▶ classifier ─▶ "score" ─▶ rule ─▶ "decision"
└──────────── transform.onnx ────────┘
└──────────────────────────── pipeline.onnx ─────────────────────────────┘
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from sidecar.session import FEATURES, SCORE, feed, open_session
from trainer.classifier import write_classifier
from trainer.graph import Graph, block_inputs, decision_info, features_info, score_info

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sidecar.signature import Blocks
    from trainer.transform import FittedTransform


class Rule(Protocol):
    """A decision rule that can be written into a graph."""

    def write(self, graph: Graph, score: str, numbers: str) -> None:
        """Append nodes from `score`, float32 [rows, 1], and `numbers` to "score" and "decision"."""

    def to_json(self) -> dict[str, Any]:
        """What the manifest says."""


def export_transform(transform: FittedTransform, *, blocked: bool = True) -> bytes:
    """The graph from raw blocks to features; blocked: see `FittedTransform.write`.

    Raises ExportError naming the step that does not convert.
    """
    graph = Graph()
    transform.write(graph, blocked=blocked)
    return graph.finish(block_inputs(transform.signature), [features_info(len(transform.feature_names))])


def export_model(model: Any, width: int) -> bytes:
    """The graph from features to score alone, which the parity check runs. Raises ExportError."""
    graph = Graph()
    score = write_classifier(graph, model)
    graph.add("Reshape", score, graph.constant(np.array([-1], np.int64)), output=SCORE)
    return graph.finish([features_info(width)], [score_info()])


def export_pipeline(transform: FittedTransform, model: Any, rule: Rule) -> bytes:
    """The graph from raw blocks to features, score and decision in one run. Raises ExportError."""
    return write_pipeline(transform, lambda graph: write_classifier(graph, model), rule)


def write_pipeline(transform: FittedTransform, write_score: Callable[[Graph], str], rule: Rule) -> bytes:
    """The same, with whatever appends nodes from "features" to the score, float32 [rows, 1]."""
    graph = Graph()
    numbers = transform.write(graph)
    rule.write(graph, write_score(graph), numbers)
    outputs = [features_info(len(transform.feature_names)), score_info(), decision_info()]
    return graph.finish(block_inputs(transform.signature), outputs)


def compute_features(transform: bytes, blocks: Blocks) -> NDArray[np.float32]:
    """Run the exported transform over raw rows: the matrix that models are fitted on, float32 [n, f]."""
    features: NDArray[np.float32]
    (features,) = open_session(transform).run([FEATURES], feed(blocks))
    return features
