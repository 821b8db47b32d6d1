"""`trainer canary`: a candidate answers a part of the calls, begun and ended by hand."""

from __future__ import annotations

from dataclasses import asdict

import click

from sidecar.bundle import open_bundle
from sidecar.canary import check_draw
from sidecar.cli.numbers import Number
from sidecar.domain import BundleRef, Canary
from sidecar.lifecycle import ModelState, Reason
from trainer.command_line import WHY, Session, with_session
from trainer.run import activation_words


@click.command()
@click.argument("digest")
@click.option(
    "--share",
    type=Number(0, 1, min_open=True, max_open=True),
    help="The part of the calls that it answers from now on.",
)
@click.option(
    "--by",
    metavar="FIELD",
    help="Draw by the values of this text or integer field, so that a customer meets one model.",
)
@click.option("--end", is_flag=True, help="Let it answer none any more: it is rejected.")
@WHY
@with_session
def canary(
    session: Session, digest: str, *, share: float | None, by: str | None, end: bool, why: str
) -> None:
    """Let a candidate in the shadow answer a part of the calls, by hand.

    A policy with `canary` does it by itself once a candidate has earned it. Which calls is drawn by a hash of
    their ids, or of a field. `trainer probation` judges the canary, and `trainer promote` makes it champion.
    """
    if end == (share is not None):
        raise click.UsageError("give --share or --end")
    if end and by is not None:
        raise click.UsageError("--by goes with --share")
    reason = Reason(session.actor, why)
    with session.registry() as registry:
        version = registry.find(digest)
        if share is None:
            registry.move(
                version.model.digest, expected=ModelState.CANARY, to=ModelState.REJECTED, reason=reason
            )
            what = f"{version.model} is rejected"
        else:
            part = Canary(BundleRef(version.model, version.path), share, by)
            check_draw(part, open_bundle(version.path).signature.column(by) if by else None)
            registry.start_canary(version.model.digest, share, reason, by=by)
            what = f"{version.model} is the canary, with {part.words}"
        words = activation_words(registry, registry.deployment(), session.patience_seconds)
    session.show(
        {
            "canary": asdict(version.model),
            "share": share or 0.0,
            "drawn_by": by,
            "activation": words,
        },
        f"{what}; {words}",
    )
