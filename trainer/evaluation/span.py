"""Which rows are looked at: whole days of the log whose every outcome must have arrived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sidecar.errors import NotFoundError
from trainer.days import DAY_NS, day_start, iso_day, nanoseconds
from trainer.join import clock_ns, read_rows

if TYPE_CHECKING:
    from sidecar.store.reader import LogReader
    from trainer.join import JoinedRows
    from trainer.task import Task


@dataclass(frozen=True)
class Span:
    """The whole days [since_ns, until_ns) that are looked at, as known at as_of_ns."""

    since_ns: int
    until_ns: int
    as_of_ns: int


def read_span(
    task: Task,
    reader: LogReader,
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
    as_of_ns: int | None = None,
    days: int | None = None,
) -> tuple[Span, JoinedRows]:
    """The rows of whole matured days in [since_ns, until_ns), of all champions.

    since_ns: by default `days` days before the end, or the log's beginning when `days` is None too. until_ns:
    the newest matured day's end at the latest. as_of_ns: the log's clock when not given.
    Raises NotFoundError when there is no such row.
    """
    now_ns = clock_ns(reader) if as_of_ns is None else as_of_ns
    matured_ns = day_start(now_ns + 1 - nanoseconds(task.maturity))
    end_ns = matured_ns if until_ns is None else min(until_ns, matured_ns)
    if since_ns is None and days is not None:
        since_ns = end_ns - days * DAY_NS
    rows = read_rows(
        reader, task.signature, task.maturity, as_of_ns=now_ns, since_ns=since_ns, hidden_by=task.hidden_by
    )
    rows = rows.take(np.flatnonzero(rows.event_ns < end_ns))
    if not len(rows):
        began = "its beginning" if since_ns is None else iso_day(since_ns)
        raise NotFoundError(
            f"no logged row from {began} until before {iso_day(end_ns)} has matured; outcomes take "
            f"{task.maturity}, choose an earlier stretch or a later --as-of"
        )
    return Span(day_start(int(rows.event_ns[0])) if since_ns is None else since_ns, end_ns, now_ns), rows
