"""Tree ensembles as one graph node, equal to scikit-learn in every comparison.

scikit-learn compares float32 features with float64 thresholds; the graph compares float32 with float32. With
the threshold replaced by the largest float32 not above it, both say the same for every feature value. Written
here and not by skl2onnx, whose converters ignore where a forest sends missing values, round the thresholds of
HistGradientBoosting, and compute labels nobody asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.session import FEATURES
from trainer.errors import ExportError
from trainer.graph import ML

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.graph import Graph

_AVERAGED = ("RandomForestClassifier", "ExtraTreesClassifier")


@dataclass(frozen=True, eq=False)
class Tree:
    """One binary tree; arrays with one entry per node, node 0 is the root.

    A row goes left when its feature is at most the threshold, or is missing and `missing_left`. A leaf has
    left = right = 0, and adds its value.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    missing_left: NDArray[np.bool_]
    value: NDArray[np.float64]

    @property
    def leaf(self) -> NDArray[np.bool_]:
        """Which nodes are leaves, bool [nodes]."""
        return np.equal(self.left, 0)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """score = base + the sum of the trees' values, through the logistic function where `logistic`."""

    trees: tuple[Tree, ...]
    base: float
    logistic: bool

    def write(self, graph: Graph) -> str:
        """Append the nodes that compute the score of "features"; return its name, float32 [rows, 1]."""
        trees = self.trees
        sizes = [len(tree.left) for tree in trees]
        tree_ids = np.repeat(np.arange(len(trees)), sizes)
        node_ids = np.concatenate([np.arange(size) for size in sizes])
        leaf = np.concatenate([tree.leaf for tree in trees])
        missing_left = np.concatenate([tree.missing_left for tree in trees]) & ~leaf
        attributes = {
            "nodes_treeids": tree_ids,
            "nodes_nodeids": node_ids,
            "nodes_featureids": np.concatenate([tree.feature for tree in trees]),
            "nodes_values": np.concatenate([tree.threshold for tree in trees]),
            "nodes_truenodeids": np.concatenate([tree.left for tree in trees]),
            "nodes_falsenodeids": np.concatenate([tree.right for tree in trees]),
            "target_treeids": tree_ids[leaf],
            "target_nodeids": node_ids[leaf],
            "target_ids": np.zeros(int(leaf.sum()), np.int64),
            "target_weights": np.concatenate([tree.value for tree in trees])[leaf].astype(np.float32),
        }
        if missing_left.any():
            attributes["nodes_missing_value_tracks_true"] = missing_left.astype(np.int64)
        total = graph.add(
            "TreeEnsembleRegressor",
            FEATURES,
            domain=ML,
            n_targets=1,
            aggregate_function="SUM",
            base_values=[self.base],
            nodes_modes=["LEAF" if is_leaf else "BRANCH_LEQ" for is_leaf in leaf.tolist()],
            **{name: values.tolist() for name, values in attributes.items()},
        )
        # Not as the node's post_transform, which ONNX Runtime accepts and does not apply.
        return graph.add("Sigmoid", total) if self.logistic else total

    def edge_rows(self, features: NDArray[np.float32], most: int) -> NDArray[np.float32]:
        """Rows that stand on both sides of thresholds, float32 [at most `most`, features].

        Each is one of `features`, moved just far enough to reach a node, with the node's feature at the
        threshold or at the next float above it. The nodes are spread evenly over the ensemble.
        """
        places = [(tree, node) for tree in self.trees for node in np.flatnonzero(~tree.leaf).tolist()]
        chosen = places[:: max(1, -(-2 * len(places) // most))]
        rows = features[np.arange(2 * len(chosen)) % len(features)].copy()
        parents: dict[int, NDArray[np.int64]] = {}
        for place, (tree, node) in enumerate(chosen):
            if id(tree) not in parents:
                parents[id(tree)] = _parents(tree)
            up = parents[id(tree)]
            threshold = tree.threshold[node]
            for row, value in ((2 * place, threshold), (2 * place + 1, _next(threshold))):
                _reach(rows[row], tree, node, up)
                rows[row, tree.feature[node]] = value
        # A split of missing from present has an infinite threshold: nothing but missing lies beyond it.
        rows[np.isinf(rows)] = np.nan
        return rows


def _parents(tree: Tree) -> NDArray[np.int64]:
    parents = np.full(len(tree.left), -1)
    inner = np.flatnonzero(~tree.leaf)
    parents[tree.left[inner]] = inner
    parents[tree.right[inner]] = inner
    return parents


def _next(value: np.float32) -> np.float32:
    with np.errstate(over="ignore"):
        return np.float32(np.nextafter(value, np.float32(np.inf)))


def _reach(row: NDArray[np.float32], tree: Tree, node: int, parents: NDArray[np.int64]) -> None:
    """Move `row` in place so that it comes to `node`: the nearest value on the right side of each split."""
    bounds: dict[int, tuple[np.float32, np.float32]] = {}
    while (parent := int(parents[node])) >= 0:
        feature, threshold = int(tree.feature[parent]), tree.threshold[parent]
        lower, upper = bounds.get(feature, (np.float32(-np.inf), np.float32(np.inf)))
        if tree.left[parent] == node:
            upper = min(upper, threshold)
        else:
            lower = max(lower, _next(threshold))
        bounds[feature] = lower, upper
        node = parent
    for feature, (lower, upper) in bounds.items():
        row[feature] = np.clip(row[feature], lower, upper)


def read_ensemble(model: Any) -> Ensemble | None:
    """The trees of a fitted binary classifier, or None when it is no tree model known here.

    Raises ExportError for a setting that changes what the trees mean.
    """
    name = type(model).__name__
    if name == "DecisionTreeClassifier":
        return Ensemble((_read_tree(model.tree_, _shares(model.tree_)),), 0.0, logistic=False)
    if name in _AVERAGED:
        count = len(model.estimators_)
        trees = tuple(_read_tree(each.tree_, _shares(each.tree_) / count) for each in model.estimators_)
        return Ensemble(trees, 0.0, logistic=False)
    if name == "GradientBoostingClassifier":
        if model.loss != "log_loss" or model.init not in (None, "zero"):
            raise ExportError(f"{name}: another loss or init has no exact export; use log_loss and no init")
        trees = tuple(
            _read_tree(each.tree_, model.learning_rate * each.tree_.value[:, 0, 0])
            for each in model.estimators_[:, 0]
        )
        start = model._raw_predict_init(np.zeros((1, model.n_features_in_)))  # noqa: SLF001 - not public
        return Ensemble(trees, float(start[0, 0]), logistic=True)
    if name == "HistGradientBoostingClassifier":
        trees = tuple(_read_histogram_tree(each[0].nodes) for each in model._predictors)  # noqa: SLF001 - not public
        base = float(np.ravel(model._baseline_prediction)[0])  # noqa: SLF001 - not public
        return Ensemble(trees, base, logistic=True)
    return None


def _shares(tree: Any) -> NDArray[np.float64]:
    """The share of positive rows in each node."""
    counts = tree.value[:, 0, :]
    shares: NDArray[np.float64] = counts[:, 1] / counts.sum(axis=1)
    return shares


def _read_tree(tree: Any, value: NDArray[np.float64]) -> Tree:
    leaf = tree.children_left < 0
    return Tree(
        left=np.where(leaf, 0, tree.children_left),
        right=np.where(leaf, 0, tree.children_right),
        feature=np.where(leaf, 0, tree.feature),
        threshold=np.where(leaf, np.float32(0), floor32(tree.threshold)),
        missing_left=tree.missing_go_to_left.astype(bool),
        value=value,
    )


def _read_histogram_tree(nodes: Any) -> Tree:
    leaf = nodes["is_leaf"].astype(bool)
    return Tree(
        left=np.where(leaf, 0, nodes["left"].astype(np.int64)),
        right=np.where(leaf, 0, nodes["right"].astype(np.int64)),
        feature=np.where(leaf, 0, nodes["feature_idx"].astype(np.int64)),
        threshold=np.where(leaf, np.float32(0), floor32(nodes["num_threshold"])),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        value=nodes["value"].astype(np.float64),
    )


def floor32(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 not above each value."""
    with np.errstate(over="ignore"):
        near = values.astype(np.float32)
        return np.where(near > values, np.nextafter(near, np.float32(-np.inf)), near)
