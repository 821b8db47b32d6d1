"""Real drift: the flights of 2013, watched with the reference of the rows before 16 March.

The demo's first champion is fitted on those, as `trainer fit` does it; every later flight is then scored by
it and counted, hour by hour, and the monitor looks at each day with its default settings.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.environments import ROOT, WORK
from sidecar.config import Drift
from sidecar.drift.naming import name_findings
from sidecar.drift.scale import HOUR_NS
from sidecar.drift.watch import Watch
from sidecar.profile.profile import count_rows
from sidecar.profile.reference import read_reference
from sidecar.session import load_model

if TYPE_CHECKING:
    from sidecar.findings import Finding

UNTIL = "2013-03-16"


def measure() -> dict[str, Any]:
    """Every finding of the year: when it opened and closed, and what it said when it opened."""
    sys.path.insert(0, str(ROOT / "examples" / "flights"))
    from flights_data import load_flights, new_york_ns  # noqa: PLC0415 - the example is a folder of scripts
    from task import task  # noqa: PLC0415

    from trainer.fit import fit_candidate  # noqa: PLC0415 - not needed to render
    from trainer.snapshot import from_history  # noqa: PLC0415

    cut_ns = new_york_ns(UNTIL)
    folder = WORK / "drift"
    snapshot = from_history(task, cut_ns, root=folder / "snapshots")
    bundle = fit_candidate(task, task.champion, snapshot, bundles=folder / "bundles").bundle
    reference = read_reference(Path(bundle.path), bundle.signature)
    assert reference is not None, "a fitted bundle has a training profile"
    model = load_model(bundle.path)
    later = load_flights().between(cut_ns, 2**62)
    blocks = bundle.signature.pack_columns(later.columns)
    prediction = model.run(blocks)
    watch, importance = Watch(reference, Drift()), bundle.manifest["importance"]
    hours = later.event_ns // HOUR_NS * HOUR_NS
    begins = np.flatnonzero(np.diff(hours, prepend=-1)).tolist()
    findings: list[dict[str, Any]] = []
    former: list[Finding] = []
    open_now: dict[tuple[str, str], dict[str, Any]] = {}
    for begin, end in zip(begins, [*begins[1:], len(hours)], strict=True):
        rows = slice(begin, end)
        profile = count_rows(
            reference.layout, blocks.take(rows), prediction.score[rows], prediction.decision[rows]
        )
        watch.take(int(hours[begin]), profile)
        former = name_findings(watch, "", importance, former)
        now = {(one.subject, one.what): one for one in former}
        for key in open_now.keys() - now.keys():
            open_now.pop(key)["closed"] = _day(int(hours[begin]))
        for key in now.keys() - open_now.keys():
            one = now[key]
            open_now[key] = {
                "subject": one.subject,
                "what": one.what,
                "since": _day(one.since_ns),
                "opened": _day(int(hours[begin])),
                "closed": None,
                "text": one.text,
                "psi": one.evidence["psi"],
                "importance": one.evidence["importance"],
                "compared_with": one.evidence["compared_with"],
            }
            findings.append(open_now[key])
    return {
        "model": str(bundle.model),
        "rows": len(later),
        "training_rows": reference.profile.rows,
        "days": len(np.unique(hours // (24 * HOUR_NS))),
        "findings": findings,
    }


def _day(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns / 1e9, UTC):%Y-%m-%d}"
