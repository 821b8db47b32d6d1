"""A year of logged flights without hours of serving: the real pipeline in this process, into a real log.

A batch through the pipeline gives, bit for bit, what the sidecar answers row by row
(tests/test_served_parity.py proves it), so the log has the rows that a year of serving would have left. The
times in it are of batches, so it says nothing of latency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sidecar.domain import Outcome, ServedBatch, to_ids
from sidecar.session import load_model
from sidecar.store.log import LogStore
from trainer.days import DAY_NS, day_start

if TYPE_CHECKING:
    from pathlib import Path

    from flights_data import Flights
    from numpy.typing import NDArray

    from sidecar.session import Model


def log_year(log: Path, champion: Path, flights: Flights, since_ns: int) -> int:
    """Answer every flight decided from `since_ns` on with the bundle at `champion`; give their number.

    One batch a UTC day, in order of time; each outcome is recorded on the day it became known.
    """
    model = load_model(champion)
    flights = flights.take(flights.event_ns >= since_ns)
    by_known = np.argsort(flights.known_ns, kind="stable")
    store = LogStore(log)
    ledger = store.new_ledger()
    ledger.offer(len(flights))
    store.open_run(ledger)
    for day_ns in range(day_start(since_ns), int(flights.known_ns.max()) + 1, DAY_NS):
        ends = [day_ns, day_ns + DAY_NS]
        due = slice(*np.searchsorted(flights.event_ns, ends).tolist())
        known = by_known[slice(*np.searchsorted(flights.known_ns[by_known], ends).tolist())]
        served = [_answer(model, flights.take(due))] if due.stop > due.start else []
        store.write(served, [], [_outcomes(flights, known)])
    store.close_run()
    store.close()
    return len(flights)


def _answer(model: Model, flights: Flights) -> ServedBatch:
    blocks = model.bundle.signature.pack_columns(flights.columns)
    answer = model.run(blocks)
    count = len(flights)
    return ServedBatch(
        model=model.bundle.model,
        request_ids=to_ids(flights.request_ids.tolist()),
        client=np.full(count, "", object),
        received_ns=flights.event_ns,
        event_ns=flights.event_ns,
        group=np.zeros(count, np.int64),
        blocks=blocks,
        features=answer.features,
        score=answer.score,
        decision=answer.decision,
        propensity=np.ones(count, np.float32),
        queue_ns=np.zeros(count, np.int64),
        infer_ns=np.full(count, answer.infer_ns),
        cpu_ns=np.full(count, answer.cpu_ns),
    )


def _outcomes(flights: Flights, rows: NDArray[np.int64]) -> list[Outcome]:
    known = flights.take(rows)
    return [
        Outcome(request_id, label, None, known_ns)
        for request_id, label, known_ns in zip(
            known.request_ids.tolist(), known.label.tolist(), known.known_ns.tolist(), strict=True
        )
    ]
