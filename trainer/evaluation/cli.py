"""`trainer evaluate`: any version on any past slice."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from trainer.command_line import DATE, TASK, Session, nanoseconds_of, with_session
from trainer.evaluation.entrants import find_entrants
from trainer.evaluation.evaluation import evaluate as compare
from trainer.evaluation.periods import By
from trainer.evaluation.rolling import roll
from trainer.evaluation.span import read_span
from trainer.evaluation.view import evaluation_views, footnotes, headlines, rolling_table
from trainer.task import load_task

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


@click.command()
@TASK
@click.option(
    "--version",
    "wanted",
    multiple=True,
    metavar="VERSION",
    help="Only this one: a name or the beginning of a digest; may be repeated. Default: all.",
)
@click.option(
    "--since", type=DATE, metavar="DATE", help="From this UTC date on. Default: the policy's slice."
)
@click.option(
    "--until", type=DATE, metavar="DATE", help="Until before this UTC date. Default: the newest matured."
)
@click.option(
    "--as-of",
    type=DATE,
    metavar="DATE",
    help="Take the log as known at this UTC date. Default: its newest event.",
)
@click.option(
    "--by", type=click.Choice([by.value for by in By]), help="A table over time instead, since the log began."
)
@with_session
def evaluate(
    session: Session,
    *,
    task_path: Path,
    wanted: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    as_of: datetime | None,
    by: str | None,
) -> None:
    """Score versions on matured traffic, beside their hold-out.

    Each version runs over the logged raw fields and decides under its own rule; the outcomes say what it
    would have earned. It says first where the recent slice contradicts the hold-out's ranking, and where
    accuracy and money disagree. A version has figures only of days later than what it was fitted on.
    """
    task = load_task(task_path)
    with session.narrator() as narrator:
        with session.registry() as registry:
            entrants, left_out = find_entrants(task, registry, wanted)
            champion = registry.champion()
        with session.reader() as reader:
            span, rows = read_span(
                task,
                reader,
                since_ns=nanoseconds_of(since),
                until_ns=nanoseconds_of(until),
                as_of_ns=nanoseconds_of(as_of),
                days=None if by else task.policy.slice_days,
            )
        narrator.wait(f"scoring {len(rows):,} rows with {len(entrants)} versions")
        if by:
            reports = roll(task, entrants, rows, By(by))
        else:
            names = {entrant.model.bundle.model.digest: entrant.name for entrant in entrants}
            found = compare(
                task,
                entrants,
                span,
                rows,
                champion=names.get(champion.model.digest, "") if champion else "",
                snapshots=session.config.snapshots_path,
            )
    if by:
        data = {"by": by, "span": asdict(span), "periods": [asdict(one) for one in reports]}
        table = rolling_table(reports, [entrant.name for entrant in entrants], task.costs.currency)
        session.show({**data, "left_out": dict(left_out)}, table)
        return
    data = {
        **asdict(found),
        "gains": [{"of": b, "over": a, "per_1000": asdict(gain)} for (a, b), gain in found.gains.items()],
    }
    words = {"headlines": headlines(found), "footnotes": footnotes(found, left_out)}
    session.show({**data, **words, "left_out": dict(left_out)}, *evaluation_views(found, left_out))
