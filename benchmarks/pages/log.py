"""The pages of "log" and "log_slice": what a row costs, and what a million of them give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.pages.markdown import number, page, provenance, spread, table
from benchmarks.pages.rows import rounds
from benchmarks.statistics import Summary

if TYPE_CHECKING:
    from collections.abc import Callable

_US = 1e6
_SLICE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Bar:
    """What is asked of one figure. value: from one row of `speed`."""

    label: str
    bound: float
    value: Callable[[dict[str, Any]], float]
    at_least: bool = False


_BARS = (
    _Bar(
        "rows a second of one core, drained, offered, written, with both candidates' scores",
        200_000,
        lambda row: row["rows"] / row["cpu_seconds"],
        at_least=True,
    ),
    _Bar(
        "of it packing and writing, us a row, beside the engine and two workers",
        1.0,
        lambda row: row["write_cpu_seconds"] / row["rows"] * _US,
    ),
    _Bar(
        "the same transactions four times over, us a row, alone on the machine",
        1.0,
        lambda row: row["again_cpu_seconds"] / row["rows"] * _US,
    ),
    _Bar("bytes a row in SQLite", 200, lambda row: row["hot_bytes"] / row["rows"]),
    _Bar("bytes a row in Parquet", 100, lambda row: row["sealed_bytes"] / row["rows"]),
)


def render_log(result: dict[str, Any]) -> str:
    """Both shapes of rows beside what was asked."""
    return page(
        "The log: what a row costs",
        "Rows with thirty raw fields and thirty features, answered by a champion and scored by two "
        "candidates, through the real engine, recorder and workers. Medians of rounds (least to most). A row "
        "in SQLite or Parquet is the served row with both of its scores; indexes and free space inside pages "
        "count. What numbers of full precision cannot go below is in [the log](../log.md).",
        *(part for shape in result["shapes"] for part in _shape(result, shape)),
        provenance(result, "python -m benchmarks run log"),
    )


def _shape(result: dict[str, Any], shape: str) -> list[str]:
    lines = []
    for bar in _BARS:
        found = rounds(result["speed"], bar.value, shape=shape)
        if found:
            summary = Summary.of(found)
            holds = summary.median >= bar.bound if bar.at_least else summary.median <= bar.bound
            asked = f"at {'least' if bar.at_least else 'most'} {number(bar.bound)}"
            lines.append([bar.label, asked, spread(summary), _said(holds)])
    sealing = rounds(result["speed"], lambda row: row["seal_cpu_seconds"] / row["rows"] * _US, shape=shape)
    if sealing:
        lines.append(["sealing, us a row, in a process of its own", "", spread(Summary.of(sealing)), ""])
    return [f"Fields: {result['shapes'][shape]}.", table(["", "asked", "measured", "holds"], lines)]


def render_slice(result: dict[str, Any]) -> str:
    """Seconds to read, from SQLite and from Parquet, and whether the rows give the same again."""
    lines = []
    for where, name in (("hot", "SQLite"), ("sealed", "Parquet")):
        took = Summary.of(result[where]["seconds"])
        said = f"{result[where]['rows']:,} rows, {result[where]['labelled']:,} outcomes, from {name}, seconds"
        lines.append([said, f"under {_SLICE_SECONDS:g}", spread(took), _said(took.median < _SLICE_SECONDS)])
    again = result["again"]
    differ = sum(again[name] for name in ("features_differ", "scores_differ", "decisions_differ"))
    said = f"{again['rows']:,} logged rows scored again from raw fields: those that differ in any bit"
    lines.append([said, "0", f"{differ:,}", _said(differ == 0)])
    return page(
        "The log: what a million rows give",
        "Read as the gate reads it: raw fields, champion's scores, decisions and times, labels, and the same "
        "of both candidates, joined by request id and ordered, as arrays. Rows are those called mixed in "
        "[what a row costs](log.md).",
        table(["", "asked", "measured", "holds"], lines),
        provenance(result, "python -m benchmarks run log_slice"),
    )


def _said(holds: bool) -> str:
    return "yes" if holds else "**no**"
