"""What the transform of a bundle costs beside a graph that does nothing, and beside its model.

Twenty mixed columns go through imputation, scaling and encoding. The times are CPU time of this thread inside
ONNX Runtime's `run`, from Python; all graphs take turns, so that what disturbs one disturbs all.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from benchmarks import machine
from sidecar.empty_graph import empty_graph
from sidecar.session import feed, open_session
from sidecar.signature import Field, Kind, Signature
from trainer.decision import ScoreThreshold
from trainer.export import compute_features, export_pipeline, export_transform
from trainer.graph import Graph, block_inputs
from trainer.task import Columns, Transform
from trainer.transform import fit_transform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.results import Plan
    from sidecar.signature import Blocks

GAPPY, FULL, INTEGERS, TEXTS = 8, 4, 2, 6
"""Columns: numbers with gaps, numbers without, integers, texts; twenty in all."""
CATEGORIES = 12
"""Of each text column."""
BATCHES = (1, 64)
EMPTY, SIZES = "empty", "sizes"
"""The graph that gives its inputs back, and one that only says how large they are, which spares Python the
texts on their way back: the stricter yardstick."""
_RUNS = 3_000
_ROWS = 4_000
_SEED = 20_240_902

_FIELDS = (
    *(Field(f"gappy_{place}", missing_allowed=True) for place in range(GAPPY)),
    *(Field(f"number_{place}") for place in range(FULL)),
    *(Field(f"integer_{place}", Kind.INTEGER, lower=0, upper=10_000) for place in range(INTEGERS)),
    *(Field(f"text_{place}", Kind.TEXT, missing_allowed=True) for place in range(TEXTS)),
)
SIGNATURE = Signature(_FIELDS)
_NUMBERS = tuple(field.name for field in SIGNATURE.numbers)
_WHOLE = tuple(field.name for field in SIGNATURE.integers)
_WORDS = tuple(field.name for field in SIGNATURE.texts)


@dataclass(frozen=True)
class Recipe:
    """A transform and a model on it. label: as the page shows it."""

    name: str
    label: str
    transform: Transform
    model: Any


def _filled() -> Any:
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler())


def _one_hot() -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="ignore", sparse_output=False)


def _ordinal() -> OrdinalEncoder:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


RECIPES = (
    Recipe(
        "one_hot",
        "imputed, scaled, one-hot; logistic regression",
        Transform(
            (Columns(_NUMBERS, _filled()), Columns(_WHOLE, StandardScaler()), Columns(_WORDS, _one_hot()))
        ),
        LogisticRegression(max_iter=1000),
    ),
    Recipe(
        "ordinal",
        "imputed, scaled, ordinal; 100 boosted trees",
        Transform(
            (Columns(_NUMBERS, _filled()), Columns(_WHOLE, StandardScaler()), Columns(_WORDS, _ordinal()))
        ),
        HistGradientBoostingClassifier(max_iter=100, random_state=0),
    ),
    Recipe(
        "each",
        "the first, written as twenty sets of one column",
        Transform(
            (
                *(Columns((name,), _filled()) for name in _NUMBERS),
                *(Columns((name,), StandardScaler()) for name in _WHOLE),
                *(Columns((name,), _one_hot()) for name in _WORDS),
            )
        ),
        LogisticRegression(max_iter=1000),
    ),
)


def draw(rows: int) -> tuple[Blocks, NDArray[np.float64]]:
    """Draw raw rows and labels."""
    rng = np.random.default_rng(_SEED)
    numbers = rng.normal(3.0, 2.0, (rows, GAPPY + FULL))
    numbers[:, :GAPPY][rng.random((rows, GAPPY)) < 0.1] = np.nan  # noqa: PLR2004 - a tenth is missing
    integers = rng.integers(0, 10_000, (rows, INTEGERS))
    words = np.array(["", *(f"category {number}" for number in range(CATEGORIES - 1))], object)
    texts = rng.choice(words, (rows, TEXTS))
    label = (np.nan_to_num(numbers).sum(axis=1) + rng.normal(0, 5, rows) > 3.0 * numbers.shape[1]).astype(
        float
    )
    columns = dict(zip((*_NUMBERS, *_WHOLE, *_WORDS), (*numbers.T, *integers.T, *texts.T), strict=True))
    return SIGNATURE.pack_columns(columns), label


def make_graphs(recipe: Recipe, blocks: Blocks, label: NDArray[np.float64]) -> dict[str, bytes]:
    """The recipe's graphs: its transform, the same with nodes for each set of columns, and its pipeline."""
    fitted = fit_transform(recipe.transform, SIGNATURE, blocks, label)
    exported = export_transform(fitted)
    model = recipe.model.fit(compute_features(exported, blocks), label.astype(int))
    return {
        "transform": exported,
        "separate": export_transform(fitted, blocked=False),
        "pipeline": export_pipeline(fitted, model, ScoreThreshold(0.5)),
    }


def _sizes_graph() -> bytes:
    graph = Graph()
    inputs = block_inputs(SIGNATURE)
    outputs = [helper.make_tensor_value_info(f"{each.name}_size", TensorProto.INT64, []) for each in inputs]
    for block, size in zip(inputs, outputs, strict=True):
        graph.add("Size", block.name, output=size.name)
    return graph.finish(inputs, outputs)


def measure(plan: Plan, only: Sequence[str] = ()) -> None:
    """Measure every recipe, or those named, and save "transform"."""
    context = machine.describe()
    blocks, label = draw(_ROWS)
    graphs = {EMPTY: empty_graph(SIGNATURE), SIZES: _sizes_graph()}
    recipes = [recipe for recipe in RECIPES if not only or recipe.name in only]
    for recipe in recipes:
        made = make_graphs(recipe, blocks, label)
        graphs |= {f"{recipe.name}/{part}": graph for part, graph in made.items()}
    sessions = {name: open_session(graph) for name, graph in graphs.items()}
    measurements = []
    for number in range(plan.rounds):
        for batch in BATCHES:
            print(f"round {number + 1}/{plan.rounds}: {batch} rows", flush=True)
            cpu_us = _take_turns(sessions, blocks, batch, int(plan.scale * _RUNS))
            measurements += [
                {"round": number, "batch": batch, "graph": name, "cpu_us": value}
                for name, value in cpu_us.items()
            ]
    plan.save(
        "transform",
        {
            **context,
            "rounds": plan.rounds,
            "runs": int(plan.scale * _RUNS),
            "labels": {recipe.name: recipe.label for recipe in recipes},
            "nodes": {name: len(onnx.load_from_string(graph).graph.node) for name, graph in graphs.items()},
            "measurements": measurements,
        },
    )


def _take_turns(sessions: dict[str, Any], blocks: Blocks, batch: int, runs: int) -> dict[str, float]:
    """The median CPU microseconds of one run of each graph.

    Every graph runs once before any runs again, each time in another order, as each leaves its caches to the
    next.
    """
    rng = np.random.default_rng(_SEED)
    feeds = [feed(blocks.take(slice(start, start + batch))) for start in range(0, len(blocks) - batch, batch)]
    taken: dict[str, list[int]] = {name: [] for name in sessions}
    for run in range(runs):
        given = feeds[run % len(feeds)]
        for name in rng.permutation(list(sessions)).tolist():
            session = sessions[name]
            start = time.thread_time_ns()
            session.run(None, given)
            taken[name].append(time.thread_time_ns() - start)
    return {name: median(times) / 1000 for name, times in taken.items()}
