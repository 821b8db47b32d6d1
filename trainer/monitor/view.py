"""A look as a person reads it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from trainer.days import DAY_NS, iso_day, iso_minute
from trainer.interval import PER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from trainer.monitor.expected import Band, Expectation
    from trainer.monitor.look import Look


def look_views(seen: Look, new: Sequence[str], currency: str, *, kept: bool) -> list[RenderableType]:
    """Findings first, then what was measured. new: texts of findings that were not open before."""
    found = [one for of in seen.findings.values() for one in of]
    heading = f"{seen.model} at {iso_minute(seen.as_of_ns)} UTC, {seen.rows:,} rows looked at"
    marks = ["new " if one.text in new else "open" if kept else "-" for one in found]
    lines = [
        f"{mark} {one.monitor} {one.subject}.{one.what}: {one.text}"
        for mark, one in zip(marks, found, strict=True)
    ]
    return [
        Text(heading, "bold"),
        Text("\n".join(lines or ["Nothing was found."])),
        _measured(seen, currency),
        *expectation_views(seen.expected, currency),
    ]


def expectation_views(expected: Expectation | None, currency: str) -> list[RenderableType]:
    """The expected figures of days without outcomes, and whether to believe them."""
    if expected is None:
        return [Text("No expectation: no whole day waits for outcomes, or none before it has them.")]
    first, last = iso_day(expected.since_ns), iso_day(expected.until_ns - DAY_NS)
    table = _table(
        f"Expected of {first} to {last}, {expected.rows:,} rows whose outcomes have not matured",
        ["", "expected", "95 %"],
    )
    for name, band, form in (
        (f"{currency} per {PER:,} decisions", expected.utility_per_1000, "+,.0f"),
        ("accuracy", expected.accuracy, ".3f"),
        ("label rate", expected.label_rate, ".3f"),
    ):
        table.add_row(name, format(band.estimate, form), _bounds(band, form))
    trust = (
        f"It errs as it did on {len(expected.trials)} past stretches of the same length."
        if not expected.doubts
        else "CANNOT BE TRUSTED: " + " ".join(expected.doubts)
    )
    return [table, Text(trust)]


def _measured(seen: Look, currency: str) -> Table:
    table = _table("", ["compared", "before", "now", "p"])
    for name, shift, per, form in (
        ("label rate, newest fortnight", seen.label, 1, ".3f"),
        ("label rate, with training", seen.label_trained, 1, ".3f"),
        (f"{currency} per {PER:,}, newest fortnight", seen.utility, PER, "+,.0f"),
    ):
        if shift is not None:
            before, now = format(per * shift.before, form), format(per * shift.now, form)
            table.add_row(name, before, now, f"{shift.p:.4f}")
    for name, one in seen.fields.items():
        other = "training" if name == "training" else "the weeks before"
        table.add_row(f"fields, with {other} (area)", "0.500", f"{one.area:.3f}", f"{one.p:.4f}")
    return table


def _bounds(band: Band, form: str) -> str:
    if not math.isfinite(band.lower):
        return "-"
    return f"[{format(band.lower, form)}; {format(band.upper, form)}]"


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table
