"""A year of logged flights without hours of serving: the real pipelines in this process, into a real log.

A batch through a pipeline gives, bit for bit, what the sidecar answers row by row
(tests/test_served_parity.py proves it), so the log has the rows that a year of serving would have left. The
times in it are a batch's, divided among its rows, so it says nothing of latency.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

import numpy as np

from sidecar.domain import Failure, Outcome, ScoreBatch, ServedBatch, to_ids
from sidecar.session import load_model
from sidecar.store.log import LogStore
from trainer.days import DAY_NS, day_start

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flights_data import Flights
    from numpy.typing import NDArray

    from sidecar.session import Model, Prediction
    from sidecar.signature import Blocks


class DayLog:
    """A log that is written one UTC day at a time, from the flights decided from `since_ns` on.

    A context manager; one writer, as for every log.
    """

    def __init__(self, log: Path, flights: Flights, since_ns: int) -> None:
        self._flights = flights.take(flights.event_ns >= since_ns)
        self._by_known = np.argsort(self._flights.known_ns, kind="stable")
        self._store = LogStore(log)
        ledger = self._store.new_ledger()
        ledger.offer(len(self._flights))
        self._store.open_run(ledger)

    def __len__(self) -> int:
        """How many flights the whole log will have."""
        return len(self._flights)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close_run()
        self._store.close()

    @property
    def last_day_ns(self) -> int:
        """The day on which the last outcome becomes known."""
        return day_start(int(self._flights.known_ns.max()))

    def write(self, day_ns: int, champion: Model, candidates: Sequence[Model] = ()) -> None:
        """Answer the day's flights, score them with the candidates, and record what became known on it."""
        ends = [day_ns, day_ns + DAY_NS]
        due = self._flights.take(slice(*np.searchsorted(self._flights.event_ns, ends).tolist()))
        known = self._by_known[slice(*np.searchsorted(self._flights.known_ns[self._by_known], ends).tolist())]
        served, scores = [], []
        if len(due):
            blocks = champion.bundle.signature.pack_columns(due.columns)
            served = [_answered(champion, due, blocks)]
            scores = [_scored(one, champion, due, blocks) for one in candidates]
        self._store.write(served, scores, [_outcomes(self._flights.take(known))])


def log_year(log: Path, champion: Path, flights: Flights, since_ns: int) -> int:
    """Answer every flight decided from `since_ns` on with the bundle at `champion`; give their number."""
    model = load_model(champion)
    with DayLog(log, flights, since_ns) as days:
        for day_ns in range(day_start(since_ns), days.last_day_ns + 1, DAY_NS):
            days.write(day_ns, model)
        return len(days)


def _answered(model: Model, flights: Flights, blocks: Blocks) -> ServedBatch:
    answer = model.run(blocks)
    infer_ns, cpu_ns = _shared(answer)
    return ServedBatch(
        model=model.bundle.model,
        request_ids=to_ids(flights.request_ids.tolist()),
        client=np.full(len(flights), "", object),
        received_ns=np.full(len(flights), time.time_ns()),
        event_ns=flights.event_ns,
        group=np.zeros(len(flights), np.int64),
        blocks=blocks,
        features=answer.features,
        score=answer.score,
        decision=answer.decision,
        propensity=np.ones(len(flights), np.float32),
        queue_ns=np.zeros(len(flights), np.int64),
        failed_ns=np.zeros(len(flights), np.int64),
        infer_ns=infer_ns,
        cpu_ns=cpu_ns,
    )


def _scored(model: Model, champion: Model, flights: Flights, blocks: Blocks) -> ScoreBatch:
    answer = model.run(blocks)
    infer_ns, cpu_ns = _shared(answer)
    return ScoreBatch(
        model=model.bundle.model,
        champion=champion.bundle.model,
        request_ids=to_ids(flights.request_ids.tolist()),
        score=answer.score,
        decision=answer.decision,
        infer_ns=infer_ns,
        cpu_ns=cpu_ns,
        failures=((Failure.NONE, ""),),
        failure_rows=np.zeros(len(flights), np.int64),
    )


def _shared(answer: Prediction) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A batch's wall and CPU time, each row an equal part."""
    rows = len(answer.score)
    return np.full(rows, answer.infer_ns // rows), np.full(rows, answer.cpu_ns // rows)


def _outcomes(known: Flights) -> list[Outcome]:
    return [
        Outcome(request_id, label, None, known_ns)
        for request_id, label, known_ns in zip(
            known.request_ids.tolist(), known.label.tolist(), known.known_ns.tolist(), strict=True
        )
    ]
