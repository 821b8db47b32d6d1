"""What a search shows a person: every setting with its figures, and whether accuracy would have chosen it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from trainer.interval import PER
from trainer.search import words

if TYPE_CHECKING:
    from rich.console import RenderableType

    from trainer.tries import Searched, Try


def search_table(recipe: str, searched: Searched, currency: str) -> RenderableType:
    """The settings in the order in which they were tried."""
    rows = searched.tries[searched.chosen].measured.rows
    title = f"Settings of {recipe}, on {rows:,} rows before the hold-out"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("setting", ratio=1, overflow="fold")
    for column in (f"{currency} per {PER:,}", "behind the chosen", "accuracy", "AUC", "kB"):
        table.add_column(column, justify="right", no_wrap=column != "behind the chosen")
    for place, one in enumerate(searched.tries):
        chosen = place == searched.chosen
        table.add_row(
            Text(_name(one), "bold" if chosen else ""),
            f"{one.measured.utility_per_1000:,.0f}",
            "chosen" if chosen else f"{one.behind}",
            f"{one.measured.accuracy:.4f}",
            f"{one.measured.auc:.4f}",
            f"{one.bytes / 1e3:,.0f}",
        )
    return Group(table, Text(search_note(searched, currency)))


def search_note(searched: Searched, currency: str) -> str:
    """What was chosen out of how many, and what accuracy and AUC would have chosen."""
    sentences = [f"Chosen by money out of {len(searched.tries):,}: {_name(searched.tries[searched.chosen])}."]
    for measure, place in (("Accuracy", searched.by_accuracy), ("AUC", searched.by_auc)):
        if place != searched.chosen:
            other = searched.tries[place]
            sentences.append(
                f"{measure} would have chosen {_name(other)}, which earned {currency} "
                f"{other.behind.estimate:,.0f} per {PER:,} less."
            )
    if len(sentences) == 1:
        sentences.append("Accuracy and AUC would have chosen the same.")
    return " ".join(sentences)


def _name(one: Try) -> str:
    return words(one.setting) or "the recipe as it stands"
