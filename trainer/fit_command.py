"""`trainer fit`: recipes become bundles, measured side by side."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from trainer import report
from trainer.command_line import TASK, Session, with_session
from trainer.fit import fit_candidate
from trainer.search_report import search_table
from trainer.snapshot import find_snapshot, open_snapshot
from trainer.task import load_task

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rich.console import RenderableType

    from trainer.fit import Fitted


@click.command()
@TASK
@click.option("--snapshot", "digest", required=True, help="Digest of the snapshot, or its beginning.")
@click.option(
    "--recipe", "recipes", multiple=True, help="Fit only this recipe; may be repeated. Default: all."
)
@click.option(
    "--version", help="The version's name, for one recipe. Default: the recipe's and the snapshot's."
)
@with_session
def fit(
    session: Session, task_path: Path, digest: str, recipes: tuple[str, ...], version: str | None
) -> None:
    """Fit recipes, export them, compare them on the hold-out."""
    if version and len(recipes) != 1:
        raise click.UsageError("--version names one model: give one --recipe with it")
    task = load_task(task_path)
    snapshot = open_snapshot(find_snapshot(session.config.snapshots_path, digest))
    fitted = {}
    with session.narrator() as narrator:
        for recipe in recipes or task.candidates:
            narrator.stage(f"Fit {recipe}")
            fitted[recipe] = fit_candidate(
                task,
                recipe,
                snapshot,
                bundles=session.config.bundles_path,
                version=version,
                progress=narrator.wait,
            )
            narrator.note(f"bundle {fitted[recipe].bundle.model.digest[:12]}")
    reports = {recipe: one.report for recipe, one in fitted.items()}
    session.show(
        {
            "fitted": [{"recipe": recipe, **fitted_json(one)} for recipe, one in fitted.items()],
            "note": report.ranking_note(reports),
        },
        *fit_views(fitted, task.costs.currency),
    )


def fit_views(fitted: Mapping[str, Fitted], currency: str) -> list[RenderableType]:
    """What was tried within each recipe, and then the recipes side by side."""
    searches = [
        search_table(recipe, one.searched, currency) for recipe, one in fitted.items() if one.searched
    ]
    return [*searches, report.fit_table({recipe: one.report for recipe, one in fitted.items()}, currency)]


def fitted_json(fitted: Fitted) -> dict[str, Any]:
    """A bundle, its figures and what its search tried, as plain data."""
    return {
        "bundle": fitted.bundle.model.digest,
        "path": str(fitted.bundle.path),
        **asdict(fitted.report),
        "search": fitted.searched and fitted.searched.to_json(),
    }
