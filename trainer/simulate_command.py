"""`trainer simulate`: what a policy would do, on the task's own past."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Group
from rich.table import Table

from sidecar.cli.numbers import WholeNumber
from sidecar.errors import NoChampionError
from trainer.budget import ErrorShare
from trainer.command_line import DATE, TASK, Session, find_bundle, nanoseconds_of, with_session
from trainer.interval import PER
from trainer.simulate import outlook, replay_history
from trainer.task import load_task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from trainer.policy import Policy
    from trainer.simulate import Outlook, Past


@click.command("simulate")
@TASK
@click.argument("candidate", metavar="BUNDLE")
@click.option("--champion", help="The bundle it is compared with. Default: the champion.")
@click.option(
    "--until", type=DATE, metavar="DATE", help="Leave out rows from this UTC date on. Default: none."
)
@click.option(
    "--candidates",
    type=WholeNumber(min=1),
    default=1,
    show_default=True,
    help="How many candidates share the error budget.",
)
@click.option("--streams", type=WholeNumber(min=1), default=2_000, show_default=True, help="Streams a row.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Of the drawing; the same gives the same."
)
@with_session
def simulate(
    session: Session,
    *,
    task_path: Path,
    candidate: str,
    champion: str | None,
    until: datetime | None,
    candidates: int,
    streams: int,
    seed: int,
) -> None:
    """Try the task's policy out on its own history, before it is trusted.

    BUNDLE and champion decide on rows of the history that neither was fitted on; whole cycles of those are
    drawn with replacement into streams as long as the deadline. Shown are false promotions, power, and days
    to a promotion, beside a t-interval that is looked at after every cycle.
    """
    task = load_task(task_path)
    if champion is None:
        with session.registry() as registry:
            version = registry.champion()
        if version is None:
            raise NoChampionError("there is no champion yet; name a bundle with --champion")
        against = version.path
    else:
        against = find_bundle(session.config, champion)
    past = replay_history(task, against, find_bundle(session.config, candidate), nanoseconds_of(until))
    wanted = ErrorShare(0, candidates).wanted(task.policy.error)
    found = outlook(past, task.policy, wanted, streams=streams, seed=seed)
    session.show(
        {
            "decisions": past.decisions,
            "cycles": past.cycles,
            "units": len(past.units),
            "gain_per_1000": past.gain_per_1000,
            "at_risk": past.at_risk,
            "wanted": wanted,
            "streams": streams,
            "seed": seed,
            "outlook": [asdict(one) for one in found],
        },
        _view(past, task.policy, wanted, found, task.costs.currency),
    )


def _view(past: Past, policy: Policy, wanted: float, found: Sequence[Outlook], currency: str) -> Group:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("streams in which there is", no_wrap=True)
    for column in (f"{currency} per {PER:,}", "promoted", "rejected", "median days", "t-interval promotes"):
        table.add_column(column, justify="right")
    for one in found:
        table.add_row(
            one.kind,
            f"{one.gain_per_1000:+,.0f}",
            f"{one.promoted:.1%}",
            f"{one.rejected:.1%}",
            "-" if one.days is None else f"{one.days:,.0f}",
            f"{one.by_interval:.1%}",
        )
    facts = (
        f"{past.decisions:,} decisions in {past.cycles} cycles of {policy.cycle_days} days, "
        f"{len(past.units):,} units; "
        f"the most that one put at risk is {currency} {past.at_risk:,.0f}, declared are "
        f"{policy.largest_unit_loss:,.0f}.\n"
        f"Promoted at an e-value of {wanted:,.0f}, rejected at {1 / policy.error:,.0f}, read every cycle for "
        f"{policy.deadline_days} days."
    )
    return Group(facts, table)
