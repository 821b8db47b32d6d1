"""One look at the champion: what its labels, its money and its fields say. It changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sidecar.errors import NotFoundError
from sidecar.session import load_model
from trainer.days import DAY_NS, day_start, nanoseconds
from trainer.evaluation.run import Entrant, run
from trainer.fitted_until import may_know_until_ns
from trainer.join import clock_ns, read_rows
from trainer.monitor.expected import Expectation, Priced, estimate
from trainer.monitor.level import Daily, Shift, compare
from trainer.monitor.multivariate import Difference, Stretch, tell_apart
from trainer.monitor.verdict import (
    MULTIVARIATE,
    PERFORMANCE,
    expected_findings,
    field_finding,
    label_finding,
    utility_finding,
)
from trainer.snapshot import find_snapshot, open_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sidecar.findings import Finding
    from sidecar.lifecycle import Version
    from sidecar.store.reader import LogReader
    from trainer.evaluation.run import Run
    from trainer.join import JoinedRows
    from trainer.snapshot import Snapshot
    from trainer.task import Task

NOW_DAYS = 14
"""The newest days, which are compared with the BEFORE_DAYS before them: whole weeks, both."""
BEFORE_DAYS = 56
TRIALS = 12
HISTORY_DAYS = 91
"""How far back a look reads."""


@dataclass(frozen=True)
class Look:
    """What a look saw. None and absent keys: too few days to say.

    label, utility: the newest matured fortnight against the eight weeks before. label_trained: the newest
    slice against the training snapshot. fields: by what they were compared with, "training" or "before".
    expected: of the days that have not matured. findings: all there is, by monitor.
    """

    model: str
    as_of_ns: int
    rows: int
    label: Shift | None
    label_trained: Shift | None
    utility: Shift | None
    fields: Mapping[str, Difference]
    expected: Expectation | None
    findings: Mapping[str, tuple[Finding, ...]]


def look(
    task: Task,
    champion: Version,
    reader: LogReader,
    snapshots: Path,
    *,
    as_of_ns: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Look:
    """Look at what was logged up to as_of_ns (the log's clock if not given).

    snapshots: the folder that holds the champion's training snapshot; without it nothing is compared with
    training. progress: told what is being done. Raises NotFoundError when nothing was logged.
    """
    now_ns = clock_ns(reader) if as_of_ns is None else as_of_ns
    matured_ns, ended_ns = day_start(now_ns + 1 - nanoseconds(task.maturity)), day_start(now_ns + 1)
    rows = read_rows(
        reader,
        task.signature,
        task.maturity,
        as_of_ns=now_ns,
        since_ns=matured_ns - HISTORY_DAYS * DAY_NS,
        hidden_by=task.hidden_by,
    )
    if not len(rows):
        raise NotFoundError("no row was logged in the days looked at; choose another --as-of")
    progress(f"looking at {len(rows):,} rows")
    model = load_model(champion.path)
    known_ns = may_know_until_ns(model.bundle, champion)
    one = run(task, Entrant(champion.model.version, champion.state.value, model, known_ns), rows)
    snapshot = _snapshot(snapshots, str(model.bundle.manifest.get("snapshot", "")))

    labelled = np.flatnonzero(rows.labelled & (rows.event_ns < matured_ns))
    weight = rows.weight
    labels = Daily.of(rows.event_ns[labelled], rows.label[labelled], weight[labelled])
    earned = np.flatnonzero(one.counted(rows) & (rows.event_ns < matured_ns))
    money = Daily.of(rows.event_ns[earned], one.money[earned], weight[earned])
    label, utility = _newest(labels, matured_ns), _newest(money, matured_ns)
    label_trained = None
    if snapshot is not None:
        recent = labels.between(matured_ns - task.policy.slice_days * DAY_NS, matured_ns)
        label_trained = compare(Daily.of(snapshot.event_ns, snapshot.label, snapshot.weight), recent)
    fields = _fields(task, rows, ended_ns, snapshot)
    expected = (
        estimate(
            priced(task, one, rows, matured_ns),
            matured_ns,
            ended_ns,
            calibrate_days=task.policy.slice_days,
            trials=TRIALS,
        )
        if ended_ns > matured_ns
        else None
    )
    digest, currency = champion.model.digest, task.costs.currency
    performance = [
        *label_finding(digest, "shift", label),
        *label_finding(digest, "stale", label_trained),
        *utility_finding(digest, utility, currency),
        *expected_findings(digest, expected, money, currency),
    ]
    apart = [one for name, seen in fields.items() for one in field_finding(digest, name, seen, ended_ns)]
    return Look(
        model=str(champion.model),
        as_of_ns=now_ns,
        rows=len(rows),
        label=label,
        label_trained=label_trained,
        utility=utility,
        fields=fields,
        expected=expected,
        findings={PERFORMANCE: tuple(performance), MULTIVARIATE: tuple(apart)},
    )


def _newest(days: Daily, end_ns: int) -> Shift | None:
    middle_ns = end_ns - NOW_DAYS * DAY_NS
    return compare(days.between(middle_ns - BEFORE_DAYS * DAY_NS, middle_ns), days.between(middle_ns, end_ns))


def _fields(task: Task, rows: JoinedRows, end_ns: int, snapshot: Snapshot | None) -> dict[str, Difference]:
    every = Stretch(rows.blocks, rows.event_ns)
    middle_ns = end_ns - NOW_DAYS * DAY_NS
    edges = np.searchsorted(rows.event_ns, [middle_ns - BEFORE_DAYS * DAY_NS, middle_ns, end_ns]).tolist()
    before, now = every.take(slice(*edges[:2])), every.take(slice(*edges[1:]))
    references = {"before": before}
    if snapshot is not None:
        references["training"] = Stretch(snapshot.blocks, snapshot.event_ns)
    found = {name: tell_apart(task.signature, of, now) for name, of in references.items()}
    return {name: difference for name, difference in found.items() if difference is not None}


def priced(task: Task, one: Run, rows: JoinedRows, matured_ns: int) -> Priced:
    """The champion's rows that it was not fitted on; labels only of days that have matured."""
    usable = np.flatnonzero(one.unseen & one.scored.valued)
    blocks, decision = rows.blocks.take(usable), one.scored.decision[usable]
    known = rows.labelled[usable] & (rows.event_ns[usable] < matured_ns)
    ones = np.ones(len(usable))
    return Priced(
        event_ns=rows.event_ns[usable],
        score=one.scored.score[usable],
        if_positive=task.costs.utility(task.signature, blocks, decision, ones),
        if_negative=task.costs.utility(task.signature, blocks, decision, 0 * ones),
        label=np.where(known, rows.label[usable], np.nan),
    )


def _snapshot(root: Path, digest: str) -> Snapshot | None:
    try:
        return open_snapshot(find_snapshot(root, digest))
    except NotFoundError:
        return None
