"""A shadow supervisor with real workers, what it is offered, and what came of it."""

import time
from dataclasses import replace

import numpy as np
from tiny_bundles import SIGNATURE, TRIGGER, row

from sidecar.config import Shadow
from sidecar.domain import ServedBatch, to_ids, to_texts

SETTINGS = Shadow(copy_share=0, backoff_seconds=0.01, stall_seconds=60.0, load_seconds=60.0, nice=0)
IMPATIENT = replace(SETTINGS, stall_seconds=1.0)


def served(champion, rows, *, triggers=(), group=None, prefix="r"):
    records = [row(x=number / rows, trigger=TRIGGER if number in triggers else 0) for number in range(rows)]
    blocks = SIGNATURE.pack_columns({name: [record[name] for record in records] for name in records[0]})
    nothing = np.zeros(rows, np.int64)
    return ServedBatch(
        model=champion.model,
        request_ids=to_ids([f"{prefix}{number}" for number in range(rows)]),
        client=np.full(rows, "app/1", object),
        received_ns=nothing,
        event_ns=nothing,
        group=np.arange(rows) if group is None else np.array(group),
        blocks=blocks,
        features=np.zeros((rows, 3), np.float32),
        score=np.zeros(rows, np.float32),
        decision=np.zeros(rows, bool),
        propensity=np.ones(rows, np.float32),
        queue_ns=nothing,
        failed_ns=nothing,
        infer_ns=nothing,
        cpu_ns=nothing,
    )


def until(holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.005)


def until_idle(supervisor):
    until(lambda: not any(status.queued for status in supervisor.status()))


def entries(batches):
    """All entries as (candidate's version, request, failure, detail)."""
    return [
        (batch.model.version, request, failure, detail)
        for batch in batches
        for request, failure, detail in zip(
            to_texts(batch.request_ids), batch.failure, batch.detail, strict=True
        )
    ]


def failures_of(batches):
    """Failure by request of one candidate; fails when a request has two entries."""
    found = entries(batches)
    by_request = {request: failure for _, request, failure, _ in found}
    assert len(by_request) == len(found)
    return by_request


def worker_pid(supervisor):
    until(lambda: supervisor._candidates[0]._worker is not None)
    return supervisor._candidates[0]._worker._process.pid
