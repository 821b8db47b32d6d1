"""`trainer watch`: the button, pressed by itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from sidecar.cli.numbers import Number
from sidecar.errors import SidecarError
from trainer.command_line import TASK, Session, with_session
from trainer.run import Run
from trainer.task import load_task
from trainer.watch import Watch

if TYPE_CHECKING:
    from pathlib import Path

    from sidecar.registry import Registry

EVERY_SECONDS = 60.0


@click.command("watch")
@TASK
@click.option(
    "--every",
    "seconds",
    type=Number(min=0, min_open=True),
    default=EVERY_SECONDS,
    show_default=True,
    help="Seconds between looks at the log's clock.",
)
@click.option("--once", is_flag=True, help="Look once and end, for a scheduler.")
@with_session
def watch(session: Session, task_path: Path, seconds: float, once: bool) -> None:
    """Retrain when it is due, judge candidates and the champion on probation, and act on what was decided.

    Looks whenever a further day of the log has matured, and every hour at how fast a canary, or a champion on
    probation, answers. The task's `retraining` says when it is due. A first
    champion is not made: begin with `trainer run`. May be stopped and started at any time. What cannot be
    done is told and tried again; with --once it is the command's error.
    """
    task = load_task(task_path)
    with session.narrator() as narrator, session.registry() as registry:
        found = Watch(
            Run(
                task=task,
                config=session.config,
                registry=registry,
                actor=session.actor,
                narrator=narrator,
                history_until_ns=None,
                patience_seconds=session.patience_seconds,
                wait_seconds=0,
            )
        )
        if once:
            found.look()
            session.show(*_standing(registry))
            return
        told = ""
        while True:
            try:
                found.look()
                told = ""
            except SidecarError as error:
                if str(error) != told:
                    narrator.note(f"not done: {error}")
                told = str(error)
            narrator.wait(found.words)
            time.sleep(seconds)


def _standing(registry: Registry) -> tuple[dict[str, Any], str]:
    """Who stands where now: as data, and in words."""
    deployment = registry.deployment()
    canary = deployment.canary
    roles = {
        "champion": deployment.champion,
        "standby": deployment.standby,
        "canary": canary.ref if canary else None,
    }
    data: dict[str, Any] = {role: ref.model.digest if ref else None for role, ref in roles.items()}
    data["candidates"] = [ref.model.digest for ref in deployment.candidates]
    words = [f"{role} {ref.model}" for role, ref in roles.items() if ref]
    words += [f"candidate {ref.model}" for ref in deployment.candidates]
    return data, "\n".join(words)
