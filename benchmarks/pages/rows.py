"""Picking numbers out of results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.statistics import Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Row = dict[str, Any]


_KEPT_UP = 0.97


def rounds(rows: Sequence[Row], value: Callable[[Row], float], **keys: Any) -> list[float]:
    """One number for each round, in their order, of the rows that have these keys; perhaps none."""
    found = [row for row in rows if all(row[key] == wanted for key, wanted in keys.items())]
    return [value(row) for row in sorted(found, key=lambda row: row["round"])]


def summary(rows: Sequence[Row], value: Callable[[Row], float], **keys: Any) -> Summary | None:
    """Summarise `rounds`; None when there are none."""
    found = rounds(rows, value, **keys)
    return Summary.of(found) if found else None


def shares(rows: Sequence[Row], of: str, part: str, whole: str) -> list[float]:
    """What part of the rows that are counted in `of` ended so, run by run; none where nothing was counted."""
    counted = [row[of] for row in rows if row.get(of)]
    return [each[part] / each[whole] for each in counted if each[whole]]


def fault(rows: Iterable[Row]) -> str:
    """Why open-loop figures do not count: calls failed, or the rate was not kept up. Empty if they do."""
    rows = list(rows)
    failed = sum(count for row in rows for status, count in row["ends"].items() if status != "0")
    if failed:
        return f"{failed:,} calls failed"
    slow = [
        row
        for row in rows
        if row["achieved_rate"] < _KEPT_UP * (row["open_rate"] if "open_rate" in row else row["rate"])
    ]
    return f"the rate was not kept up in {len(slow)} runs" if slow else ""
