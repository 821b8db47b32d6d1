"""`sidecar drift`: what has changed since training, for a person. Works whether a sidecar runs or not."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from sidecar.cli.options import as_json, with_config
from sidecar.drift.page import page
from sidecar.drift.survey import survey
from sidecar.drift.words import describe_subjects, last_look, moment, not_looked_at_since
from sidecar.errors import NoChampionError
from sidecar.registry import Registry

if TYPE_CHECKING:
    from sidecar.config import Config
    from sidecar.drift.survey import Survey
    from sidecar.drift.words import SubjectFacts


@click.command()
@click.option("--model", default="", help="A version's digest or the start of it.  [default: the champion]")
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page to this file too."
)
@with_config
@as_json
def drift(config: Config, *, model: str, html: Path | None, as_json: bool) -> None:
    """Compare the newest traffic with the training rows, and list the findings that are open.

    psi: the population stability index of what was last looked at, less what chance gives; 0 is no change,
    0.1 is much. new: values outside everything that training had. weight: how much the field matters to the
    model, empty where it never varied in training, so that nothing is known of it.
    """
    with closing(Registry(config.registry_path)) as registry:
        if not model:
            champion = registry.deployment().champion
            if champion is None:
                raise NoChampionError("there is no champion to survey; promote one, or name a --model")
            model = champion.model.digest
        found = survey(config, registry.find(model))
    if html is not None:
        html.write_text(page(found))
    if as_json:
        click.echo(json.dumps(_facts(found), indent=1))
    else:
        _print(found)


def _print(found: Survey) -> None:
    console = Console(highlight=False, markup=False)
    console.print(f"{found.model}, traffic from {moment(found.since_ns)} to {moment(found.until_ns)}")
    console.print(last_look(found))
    if not found.findings:
        console.print("no open finding")
    for sighting in found.findings:
        one = sighting.finding
        since_ns = not_looked_at_since(found, sighting)
        still = "" if since_ns is None else f"; not looked at since {moment(since_ns)}"
        console.print(f"{one.what:9} {one.text}; since {moment(one.since_ns)}{still}")
        if one.cause:
            console.print(f"          perhaps: {one.cause}")
    console.print()
    table = Table("subject", "weight", "psi", "missing", "was", "new", "findings", box=None, pad_edge=False)
    for facts in describe_subjects(found):
        table.add_row(*_cells(facts))
    console.print(table)


def _cells(facts: SubjectFacts) -> tuple[str, ...]:
    return (
        facts.name,
        "" if facts.importance is None else f"{facts.importance:.3f}",
        "" if facts.stability is None else f"{facts.stability:.3f}",
        f"{facts.missing:.1%}",
        f"{facts.missing_before:.1%}",
        f"{facts.outside:.1%}",
        ", ".join(facts.findings),
    )


def _facts(found: Survey) -> dict[str, Any]:
    look = found.look
    return {
        "model": asdict(found.model),
        "since_ns": found.since_ns,
        "until_ns": found.until_ns,
        "look": look
        and {
            "scale": look.scale.name,
            "start_ns": look.start_ns,
            "end_ns": look.end_ns,
            "rows": look.window.rows,
        },
        "findings": [
            {
                **asdict(sighting.finding),
                "opened_ns": sighting.opened_ns,
                "seen_ns": sighting.seen_ns,
                "not_looked_at_since_ns": not_looked_at_since(found, sighting),
            }
            for sighting in found.findings
        ],
        "subjects": [asdict(facts) for facts in describe_subjects(found)],
    }
