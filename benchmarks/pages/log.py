"""The page of "log": the recorder's speed, bytes a row, and a slice of a million rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.pages.markdown import number, page, provenance, spread, table
from benchmarks.pages.rows import rounds
from benchmarks.statistics import Summary

if TYPE_CHECKING:
    from collections.abc import Callable

_US = 1e6


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
        "of it packing and writing, us a row", 1.0, lambda row: row["write_cpu_seconds"] / row["rows"] * _US
    ),
    _Bar("bytes a row in SQLite", 200, lambda row: row["hot_bytes"] / row["rows"]),
    _Bar("bytes a row in Parquet", 100, lambda row: row["sealed_bytes"] / row["rows"]),
)


def render_log(result: dict[str, Any]) -> str:
    """Both shapes beside what was asked, and the slice."""
    return page(
        "The log: what a row costs, and what a million give",
        "Rows with thirty raw fields and thirty features, answered by a champion and scored by two "
        "candidates, through the real engine, recorder and workers. Medians of rounds (least to most). A row "
        "in SQLite or Parquet is the served row with both of its scores; indexes and free space inside pages "
        "count.",
        "## Recording",
        *(part for shape in result["shapes"] for part in _shape(result, shape)),
        "## A slice of a million rows",
        _slice(result["slice"]) if result["slice"] else "Not measured.",
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
            lines.append([bar.label, asked, spread(summary), "yes" if holds else "**no**"])
    sealing = rounds(result["speed"], lambda row: row["seal_cpu_seconds"] / row["rows"] * _US, shape=shape)
    if sealing:
        lines.append(["sealing, us a row, in a process of its own", "", spread(Summary.of(sealing)), ""])
    return [f"Fields: {result['shapes'][shape]}.", table(["", "asked", "measured", "holds"], lines)]


def _slice(found: dict[str, Any]) -> str:
    lines = [
        [
            f"{found['hot']['rows']:,} rows, {found['hot']['labelled']:,} outcomes, from {name}, s",
            "under 2",
            spread(Summary.of(found[where]["seconds"])),
            "yes" if Summary.of(found[where]["seconds"]).median < 2 else "**no**",  # noqa: PLR2004 - what was asked
        ]
        for where, name in (("hot", "SQLite"), ("sealed", "Parquet"))
    ]
    again = found["again"]
    differ = sum(again[name] for name in ("features_differ", "scores_differ", "decisions_differ"))
    said = f"{again['rows']:,} logged rows scored again from raw fields: those that differ in any bit"
    lines.append([said, "0", f"{differ:,}", "yes" if differ == 0 else "**no**"])
    return (
        "Read as the gate reads it: raw fields, champion's scores, decisions and times, labels, and the same "
        "of both candidates, joined by request id and ordered, as arrays.\n\n"
        + table(["", "asked", "measured", "holds"], lines)
    )
