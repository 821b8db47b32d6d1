"""Gathers from the log what is known of who newly answers calls."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from sidecar.codec import WRITTEN
from sidecar.store.joining import choose_rows
from trainer.betting import restarted_capital
from trainer.budget import ErrorShare
from trainer.comparison import Reign, stretches_of
from trainer.days import DAY_NS, day_start, hour_start, iso_day
from trainer.gather import Known, describe
from trainer.interval import PER
from trainer.latency import measure_alone
from trainer.looks import first_look, order_of
from trainer.noise import measure_noise
from trainer.probation.facts import WHOLE, Probation, Reading
from trainer.stints import Stint
from trainer.waits import Calls, measure_waits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sidecar.domain import ModelId
    from sidecar.registry import Look
    from sidecar.store.reader import LogReader
    from trainer.evidence import Accounting
    from trainer.policy import Policy
    from trainer.task import Task
    from trainer.units import Units


def measure_probation(
    task: Task,
    reader: LogReader,
    newcomer: ModelId,
    former: ModelId,
    *,
    share: float = WHOLE,
    drawn_by: str | None = None,
    as_of_ns: int | None = None,
    received_since_ns: int = 0,
    share_since_ns: int = 0,
    looks: Sequence[Look] = (),
) -> Probation:
    """What was known at `as_of_ns` (the log's clock if not given) of rows received since `received_since_ns`.

    drawn_by: the field that a canary's calls are drawn by, None for their ids. share_since_ns: whole days
    after the first row received from then on count as days at this share. Both times by the machine's clock.
    looks: those before, in whose order blocks of calls are cut (see `trainer.looks`).
    A latency budget in multiples is one of what the champion takes beside its canary, in the same days; a
    champion on probation has nobody beside it, so only a budget in microseconds binds it. Raises
    NotFoundError when nothing has been served.
    """
    reign = Reign.at(task, reader, newcomer, as_of_ns, looks=looks)
    served = reign.served
    found = reign.compare(reader, Stint(former, received_since_ns))
    known = Known(shares={former.digest: ErrorShare(0, 1)})
    policy = task.policy
    # A candidate that may earn a little less than the champion may do so as champion too.
    units = found.units(task, max(0.0, -policy.min_gain_per_1000) / PER)
    judged = found.judged_account
    share_began_ns = _began_ns(
        [(served.received_ns, served.event_ns)], max(received_since_ns, share_since_ns)
    )
    at_share_ns = judged.since_ns
    if share_since_ns and share_began_ns is not None:
        at_share_ns = day_start(share_began_ns) + DAY_NS
    # A canary stays as long as a candidate may.
    most_days = policy.probation_days if share == WHOLE else policy.deadline_days
    # Clocks need no outcome, and who is slow is to be ended soon.
    timed_until_ns = hour_start(reign.query.as_of_ns + 1)
    timed = np.flatnonzero((served.received_ns >= received_since_ns) & (served.event_ns < timed_until_ns))
    timed = timed[order_of(first_look(looks, served.event_ns[timed], served.written_ns[timed], hour_start))]
    beside, waits = _NO_ANSWERS, None
    if share < WHOLE and len(timed):
        span = _Span(int(served.event_ns[timed[0]]), timed_until_ns, received_since_ns)
        beside, own = (_answers_of(reader, model, span) for model in (former, newcomer))
        # Those that it failed waited for it, whoever answered them then.
        failed = beside.failed_ns > 0
        # What it is like to wait at another share, with another load, is another matter.
        answered, failing, others = (
            one.calls(share_since_ns, looks) for one in (own, beside.take(failed), beside.take(~failed))
        )
        canary = Calls.concat([answered, failing])
        waits = measure_waits(policy, canary, others, share=share, by_id=drawn_by is None)
    return Probation(
        share=share,
        share_since_ns=share_since_ns,
        drawn_by=drawn_by,
        days=max(0, (judged.until_ns - max(judged.since_ns, at_share_ns)) // DAY_NS),
        matured_days=_matured_days(reader, reign, received_since_ns),
        evidence=describe(reign, found, units, known, measure_noise(reader, reign)),
        readings=_readings(policy, units, judged, most_days),
        speed=measure_alone(policy, served.cpu_ns[timed], beside.cpu_ns),
        waits=waits,
    )


def _matured_days(reader: LogReader, reign: Reign, received_since_ns: int) -> int:
    """Whole days after the first row that was received since then, whoever answered it; no more than matter.

    Days without a score or a call of the newcomer's count: what never comes must not be awaited for ever.
    """
    most = reign.task.policy.probation_deadline_days
    since_ns, until_ns = reign.matured_ns - (most + 2) * DAY_NS, reign.matured_ns
    parts = reader.served_parts(("received_ns", "event_ns"), since_ns=since_ns, until_ns=until_ns)
    rows = [(part.columns["received_ns"], part.columns["event_ns"]) for part in parts]
    began_ns = _began_ns(rows, received_since_ns)
    return 0 if began_ns is None else max(0, (until_ns - day_start(began_ns)) // DAY_NS - 1)


def _began_ns(
    parts: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], received_since_ns: int
) -> int | None:
    """How late it was, by the rows' events, when the first one was received since then; None without one.

    parts: received_ns and event_ns. That row itself may tell of an old event; it is no older for that than
    what was received before it.
    """
    firsts, before_ns = [], []
    for received_ns, event_ns in parts:
        since = received_ns >= received_since_ns
        if since.any():
            first_ns = received_ns[since].min()
            firsts.append((int(first_ns), int(event_ns[received_ns == first_ns].min())))
        if not since.all():
            before_ns.append(int(event_ns[~since].max()))
    return max([min(firsts)[1], *before_ns]) if firsts else None


def _readings(policy: Policy, units: Units, judged: Accounting, most_days: int) -> tuple[Reading, ...]:
    stretches = most_days // policy.rollback_every_days
    last_days, ends = stretches_of(units, judged, policy.rollback_every_days, stretches)
    # A unit below -1 breaks the bound, and the verdict says so.
    scaled = np.maximum(units.gain / policy.largest_unit_loss, -1.0)
    capital = restarted_capital(scaled, ends, stretches)
    return tuple(
        Reading(iso_day((day - 1) * DAY_NS), end, float(units.gain[:end].sum()), one)
        for day, end, one in zip(last_days, ends, capital, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Span:
    """Rows of events from `since_ns` to before `until_ns`, received since `received_since_ns`."""

    since_ns: int
    until_ns: int
    received_since_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class _Answers:
    """What a model answered in a span, each request once, in the order of events; all int64 [n]."""

    event_ns: NDArray[np.int64]
    received_ns: NDArray[np.int64]
    written_ns: NDArray[np.int64]
    group: NDArray[np.int64]
    cpu_ns: NDArray[np.int64]
    failed_ns: NDArray[np.int64]
    waited_ns: NDArray[np.int64]

    def take(self, rows: NDArray[np.bool_]) -> _Answers:
        """The rows of a mask."""
        return _Answers(*(getattr(self, one.name)[rows] for one in fields(self)))

    def calls(self, received_since_ns: int, looks: Sequence[Look]) -> Calls:
        """Those received since then; the rows of one call were received and run together."""
        rows = np.flatnonzero(self.received_ns >= received_since_ns)
        together = np.stack([self.received_ns[rows], self.group[rows]])
        first = rows[np.unique(together, axis=1, return_index=True)[1]]
        look = first_look(looks, self.event_ns[first], self.written_ns[first], hour_start)
        return Calls(look, self.received_ns[first], self.waited_ns[first])


_READ = (
    *("request_ids", "event_ns", "received_ns", WRITTEN, "group", "cpu_ns"),
    *("queue_ns", "failed_ns", "infer_ns"),
)
_NO_ANSWERS = _Answers(*(np.empty(0, np.int64) for _ in fields(_Answers)))


def _answers_of(reader: LogReader, model: ModelId, span: _Span) -> _Answers:
    parts = reader.served_parts(_READ, since_ns=span.since_ns, until_ns=span.until_ns, champion=model.digest)
    found = [part.columns for part in parts]
    if not found:
        return _NO_ANSWERS
    columns = {name: np.concatenate([one[name] for one in found]) for name in _READ}
    since = np.flatnonzero(columns["received_ns"] >= span.received_since_ns)
    chosen = choose_rows(*(columns[name][since] for name in ("request_ids", "event_ns", "received_ns")))
    rows = since[chosen.rows]
    taken = {name: column[rows] for name, column in columns.items()}
    return _Answers(
        event_ns=taken["event_ns"],
        received_ns=taken["received_ns"],
        written_ns=taken[WRITTEN],
        group=taken["group"],
        cpu_ns=taken["cpu_ns"],
        failed_ns=taken["failed_ns"],
        waited_ns=taken["queue_ns"] + taken["failed_ns"] + taken["infer_ns"],
    )
