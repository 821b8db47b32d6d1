"""Picking numbers out of results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.statistics import Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Row = dict[str, Any]


def rounds(rows: Sequence[Row], value: Callable[[Row], float], **keys: Any) -> list[float]:
    """One number for each round, in their order, of the rows that have these keys; perhaps none."""
    found = [row for row in rows if all(row[key] == wanted for key, wanted in keys.items())]
    return [value(row) for row in sorted(found, key=lambda row: row["round"])]


def summary(rows: Sequence[Row], value: Callable[[Row], float], **keys: Any) -> Summary | None:
    """Summarise `rounds`; None when there are none."""
    found = rounds(rows, value, **keys)
    return Summary.of(found) if found else None
