"""The page of "transform": a bundle's transform beside an empty graph and beside its model."""

from __future__ import annotations

from typing import Any

from benchmarks.pages.markdown import page, provenance, spread, table
from benchmarks.pages.rows import rounds
from benchmarks.statistics import Summary, ratio
from benchmarks.transform import BATCHES, CATEGORIES, EMPTY, FULL, GAPPY, INTEGERS, SIZES, TEXTS


def render_transform(result: dict[str, Any]) -> str:
    """Times of one run and ratios to the empty graph, for each batch size."""
    parts = [part for batch in BATCHES for part in _batch(result, batch)]
    return page(
        "What the transform costs",
        f"Twenty columns: {GAPPY} numbers with gaps and {FULL} without, {INTEGERS} integers, {TEXTS} texts "
        f"of {CATEGORIES} categories. CPU microseconds of one run of ONNX Runtime on one thread, called from "
        f"Python: medians of {result['runs']:,} runs in which the graphs took turns, and of "
        f"{result['rounds']} rounds (least to most). The empty graph takes the same inputs and gives them "
        "back; the sizes graph only says how large they are, so that Python need not make its texts anew. "
        "Model is the pipeline less the transform. Separate nodes is the same transform with nodes of its "
        "own for each set of columns, which computes the same bits.",
        *parts,
        provenance(result, "python -m benchmarks run transform"),
    )


def cpu_rounds(result: dict[str, Any], graph: str, rows: int) -> list[float]:
    """The CPU microseconds of a graph, round by round; none when it was not measured."""
    return rounds(result["measurements"], lambda row: row["cpu_us"], graph=graph, batch=rows)


def ratio_rounds(result: dict[str, Any], recipe: str, rows: int, yardstick: str) -> list[float]:
    """The transform's time divided by that of a yardstick, round by round."""
    ours, least = cpu_rounds(result, f"{recipe}/transform", rows), cpu_rounds(result, yardstick, rows)
    return [mine / other for mine, other in zip(ours, least, strict=True)]


def _batch(result: dict[str, Any], rows: int) -> list[str]:
    empty, sizes = cpu_rounds(result, EMPTY, rows), cpu_rounds(result, SIZES, rows)
    lines = []
    for name, label in result["labels"].items():
        transform, separate, pipeline = (
            cpu_rounds(result, f"{name}/{part}", rows) for part in ("transform", "separate", "pipeline")
        )
        model = [whole - part for whole, part in zip(pipeline, transform, strict=True)]
        nodes = result["nodes"]
        lines.append(
            [
                label,
                f"{nodes[f'{name}/transform']}, {nodes[f'{name}/separate']}",
                spread(Summary.of(transform)),
                spread(ratio(transform, empty)),
                spread(ratio(transform, sizes)),
                spread(Summary.of(separate)),
                spread(Summary.of(model)),
            ]
        )
    head = ("recipe", "nodes", "transform, us", "/ empty", "/ sizes", "separate nodes, us", "model, us")
    yardsticks = (
        f"The empty graph takes {spread(Summary.of(empty))} us, the sizes graph "
        f"{spread(Summary.of(sizes))} us. Nodes: of the transform, and with separate ones."
    )
    return [f"## {rows} row{'s' if rows > 1 else ''} a run", yardsticks, table(head, lines)]
