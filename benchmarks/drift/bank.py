"""Real drift: the calls of a bank, 2008 to 2010, watched with the reference of those before September 2008.

The champion is fitted on the first stretch of calls, May to August 2008, before a month without any; that
was chosen before anything was watched. It scores every later call, and the monitor looks at each day: with
default settings, and once more with fewer rows a window. Beside that stands what `trainer monitor` says of
the labels, and what a person would look up of each month.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.drift.bank_calls import SHA256, read_calls
from benchmarks.drift.replay import Champion, Served, Sightings
from benchmarks.environments import WORK
from sidecar.config import Drift
from sidecar.drift.scale import DAY_NS
from trainer.days import nanoseconds

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.drift.bank_calls import Calls
    from trainer.snapshot import Snapshot
    from trainer.task import Task

UNTIL = "2008-09-01"
FEWER_ROWS = 50
"""In place of `min_rows`, a tenth of the default. With 34 or fewer, hours of the busiest days would be looked
at too, and at what time a call was made is not known."""


def measure(file: Path | None, *, sha256: str = SHA256, folder: Path = WORK / "drift") -> dict[str, Any]:
    """Every finding from September 2008 on: when it opened and closed, and what it said when it opened.

    sha256: of the file that is meant. Raises ConfigError when the file is not that one.
    """
    from benchmarks.drift.bank_task import task_of  # noqa: PLC0415 - not needed to render

    calls = read_calls(file, sha256=sha256)
    until_ns = int(np.datetime64(UNTIL, "ns").astype(np.int64))
    task = task_of(calls)
    champion = Champion.fitted(task, until_ns, folder)
    later = calls.since(until_ns)
    served = Served.by(champion, later.columns, later.event_ns)
    usual = Drift()
    return {
        "model": str(champion.bundle.model),
        "sha256": sha256,
        "turned_back": calls.turned_back,
        "rows": len(later),
        "training_rows": champion.reference.profile.rows,
        "training_positive": int(champion.snapshot.label.sum()),
        "days": len(np.unique(later.event_ns // DAY_NS)),
        "min_rows": usual.min_rows,
        **served.watched(usual)._asdict(),
        "fewer_rows": FEWER_ROWS,
        "with_fewer": served.watched(replace(usual, min_rows=FEWER_ROWS))._asdict(),
        "label_findings": _label_findings(task, champion.snapshot, later),
        "months": _months(calls, served),
    }


def _label_findings(task: Task, trained: Snapshot, later: Calls) -> list[dict[str, Any]]:
    """What `trainer monitor` says of the newest labels beside training's, asked when each day has matured."""
    from trainer.monitor.level import Daily, compare  # noqa: PLC0415
    from trainer.monitor.verdict import label_finding  # noqa: PLC0415

    before, labels = Daily.of(trained.event_ns, trained.label), Daily.of(later.event_ns, later.label)
    sightings = Sightings()
    for end_ns in range(int(labels.start_ns[0]) + DAY_NS, int(labels.start_ns[-1]) + 2 * DAY_NS, DAY_NS):
        recent = labels.between(end_ns - task.policy.slice_days * DAY_NS, end_ns)
        sightings.take(
            end_ns + nanoseconds(task.maturity), label_finding("", "stale", compare(before, recent))
        )
    return sightings.all


def _months(calls: Calls, served: Served) -> list[dict[str, Any]]:
    """Each month: its calls and days, how many of those are looked at, and what a person would look up first.

    score, acted: what the champion made of them, in the mean; None for those it was fitted on.
    """
    day, month = (calls.event_ns.astype("datetime64[ns]").astype(f"datetime64[{unit}]") for unit in "DM")
    fitted = len(calls) - len(served.score)
    found = []
    for one in np.unique(month):
        rows = np.flatnonzero(month == one)
        _, a_day = np.unique(day[rows], return_counts=True)
        later = rows[rows >= fitted] - fitted
        found.append(
            {
                "month": str(one),
                "rows": len(rows),
                "days": len(a_day),
                "looked_at": int((a_day >= Drift().min_rows).sum()) if len(later) else None,
                "looked_at_with_fewer": int((a_day >= FEWER_ROWS).sum()) if len(later) else None,
                "subscribed": _share(calls.label[rows] == 1),
                "score": float(served.score[later].mean()) if len(later) else None,
                "acted": _share(served.decision[later]) if len(later) else None,
                "cellular": _share(calls.columns["contact"][rows] == "cellular"),
                "contact_unknown": _share(calls.columns["contact"][rows] == "unknown"),
                "called_before": _share(calls.columns["pdays"][rows] >= 0),
                "success_before": _share(calls.columns["poutcome"][rows] == "success"),
                "housing": _share(calls.columns["housing"][rows] == "yes"),
                "retired_or_student": _share(np.isin(calls.columns["job"][rows], ("retired", "student"))),
                "mean_balance": float(calls.columns["balance"][rows].mean()),
            }
        )
    return found


def _share(of: NDArray[np.bool_]) -> float:
    return float(of.mean())
