"""`trainer skew`: the skew audit."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from sidecar.cli.numbers import Number
from sidecar.findings import FindingStore
from trainer.command_line import Session, with_session
from trainer.skew.audit import MOST_ROWS, WINDOW, Auditor

if TYPE_CHECKING:
    from rich.console import RenderableType

    from trainer.skew.audit import Audit

_HOURS = WINDOW.total_seconds() / 3600


@click.command("skew")
@click.option(
    "--window",
    "hours",
    type=Number(min=0, min_open=True),
    default=_HOURS,
    show_default=True,
    help="Hours up to the log's newest event that are audited.",
)
@click.option("--every-row", is_flag=True, help=f"Compute all rows again, not {MOST_ROWS:,} of them.")
@click.option(
    "--watch",
    "seconds",
    type=Number(min=0, min_open=True),
    help="Look again every so many seconds, until interrupted.",
)
@with_session
def skew(session: Session, hours: float, every_row: bool, seconds: float | None) -> None:
    """Look for skew: rows that are not what training rows are.

    Computes features and scores of logged rows again with the code that training uses, and compares them bit
    for bit. Compares the raw fields of each client version with the snapshot that the model was fitted on,
    with the days before, and with other clients; names the mistake, the field, the client, and since when.
    Findings are kept in the home's findings.db.
    """
    with session.registry() as registry, FindingStore(session.config.findings_path) as findings:
        auditor = Auditor(session.config, registry, findings)
        while True:
            audits = auditor.look(window=timedelta(hours=hours), every_row=every_row)
            session.show({"audits": [_json(one) for one in audits]}, *map(_view, audits))
            if seconds is None:
                return
            time.sleep(seconds)


def _json(one: Audit) -> dict[str, Any]:
    opened = {finding.key for finding in one.opened}
    return {
        "model": one.model,
        "rows": dict(one.rows),
        "compared": one.compared,
        "findings": [{**asdict(finding), "new": finding.key in opened} for finding in one.found],
    }


def _view(one: Audit) -> RenderableType:
    clients = ", ".join(f"{client or 'no version'} {rows:,}" for client, rows in sorted(one.rows.items()))
    lines = [f"model {one.model[:12]}: {one.compared:,} rows computed again; audited by client: {clients}"]
    lines += [f"  {finding.what:<10} {finding.text}; {finding.cause}" for finding in one.found]
    return Text("\n".join(lines if one.found else [*lines, "  no skew found"]))
