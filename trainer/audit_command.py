"""`trainer audit`: everything that was decided and done, and whether the record is intact."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from sidecar.domain import part_words
from sidecar.registry import StoredDecision
from trainer.command_line import Session, with_session
from trainer.days import iso_minute

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sidecar.lifecycle import Transition

BROKEN = 1
"""Exit code when the record is not as it was written."""


@click.command("audit")
@click.option("--verify", is_flag=True, help="Work the chain out again, and say whether it is intact.")
@click.option("--head", help="With --verify: the head that was noted earlier must still be in the chain.")
@with_session
@click.pass_context
def audit(context: click.Context, session: Session, verify: bool, head: str | None) -> None:
    """Show every change of a version's state and every decision, oldest first.

    Each is tied to all before it by its SHA-256, so that none can be changed or taken away later without a
    trace. Only cutting off the end leaves none: note the head that --verify prints somewhere else, and give
    it back with --head. Exit code 1 when the record is broken.
    """
    if head and not verify:
        raise click.UsageError("--head goes with --verify")
    with session.registry() as registry:
        if not verify:
            history = registry.history()
            session.show({"history": [_plain(one) for one in history]}, _lines(history))
            return
        found = registry.verify()
        links = {entry.link for entry in registry.entries()}
    faults = list(found.faults)
    if head and not any(link.startswith(head) for link in links):
        faults.append(f"no entry has the link {head[:12]}: the end of the record was cut off or replaced")
    words = "\n".join(faults) or f"{found.entries:,} entries, intact; head {found.head}"
    session.show(
        {"entries": found.entries, "head": found.head, "intact": not faults, "faults": faults}, words
    )
    if faults:
        context.exit(BROKEN)


def _plain(one: Transition | StoredDecision) -> dict[str, Any]:
    kind = "decision" if isinstance(one, StoredDecision) else "transition"
    return {"kind": kind, **asdict(one)}


def _lines(history: list[Transition | StoredDecision]) -> Group:
    """Two lines or more for each: when, whose, what and by whom; then why, as long as it is."""
    lines: list[RenderableType] = []
    for one in history:
        if isinstance(one, StoredDecision):
            when_ns, digest, actor = one.decided_ns, one.candidate, one.actor
            what = f"decision {one.sequence}: {one.action}"
            why = (
                f"E-value {one.e_value:,.3g} of {one.wanted:,.0f}; {one.budget:.2%} of error spent, "
                f"{one.budget_left:.2%} left. {' '.join(one.reasons)}"
            )
        else:
            when_ns, digest, actor, why = one.at_ns, one.digest, one.reason.actor, one.reason.why
            part = "" if one.share is None else f", {part_words(one.share, one.drawn_by)}"
            successor = f" by {one.successor[:12]}" if one.successor else ""
            what = f"{one.from_state or 'new'} to {one.to_state}{part}{successor}"
        head = Text.assemble(f"{iso_minute(when_ns)}  {digest[:12]}  ", (what, "bold"), f", by {actor}")
        lines += [head, Padding(Text(why), (0, 0, 0, 4))]
    return Group(*lines)
