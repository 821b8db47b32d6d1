"""The bounded ring between the request path and the recorder.

One thread pushes (the event loop) and one drains (the recorder). Neither waits for the other: both ends of a
deque are atomic, and each counter has one writing thread.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sidecar.domain import ModelId, ServedBatch, to_ids
from sidecar.engine.contract import Drained, PendingOutcomes
from sidecar.signature import Blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from sidecar.ledger import Ledger
    from sidecar.session import Prediction


class Answered(NamedTuple):
    """The rows of one inference call, as the request path leaves them; fields as in `ServedBatch`."""

    model: ModelId
    request_ids: Sequence[str]
    client: str
    received_ns: int
    event_ns: int
    blocks: Blocks
    prediction: Prediction
    propensity: NDArray[np.float32]
    queue_ns: int
    failed_ns: int


class Ring:
    """Holds at most `capacity` answered rows; counts what it is offered and what it drops in the ledger.

    Rows of one inference call stay together: they are all kept or all dropped, and drained at once.
    """

    def __init__(self, capacity: int, ledger: Ledger) -> None:
        self._capacity = capacity
        self._half = max(1, capacity // 2)
        self._ledger = ledger
        self._calls: deque[Answered] = deque()
        self._outcomes: deque[PendingOutcomes] = deque()
        self._due = threading.Event()
        self._offered = 0  # rows; written by the pushing thread, like the next two
        self._dropped = 0
        self._pushed = 0
        self._drained = 0  # rows; written by the draining thread
        self._groups = 0  # inference calls; written by the draining thread

    def __repr__(self) -> str:
        return f"<Ring {self.queued}/{self._capacity} rows, {len(self._outcomes)} outcome calls>"

    @property
    def offered(self) -> int:
        """Rows that were pushed, kept or not."""
        return self._offered

    @property
    def dropped(self) -> int:
        """Rows that did not fit."""
        return self._dropped

    @property
    def queued(self) -> int:
        """Rows that wait now."""
        return self._pushed - self._drained

    def push(self, call: Answered) -> None:
        """Keep an answered call, or drop and count it when its rows do not fit. Never blocks."""
        rows = len(call.request_ids)
        # Counted first: after a crash, a row that was offered and never written counts as lost.
        self._ledger.offer(rows)
        self._offered += rows
        if self.queued + rows > self._capacity:
            self._ledger.drop(rows)
            self._dropped += rows
            return
        self._pushed += rows
        self._calls.append(call)
        if self.queued >= self._half and not self._due.is_set():
            self._due.set()

    def push_outcomes(self, pending: PendingOutcomes) -> None:
        """Hand over outcomes and wake the drain, which takes them all. Never dropped: their call waits."""
        self._outcomes.append(pending)
        self._due.set()

    def drain(self, max_rows: int, wait_seconds: float) -> Drained:
        """Take what waits, oldest first, as `Engine.drain` says.

        At most `max_rows`, except that a single call with more rows is taken whole.
        """
        self._due.wait(wait_seconds)
        self._due.clear()
        outcomes = [self._outcomes.popleft() for _ in range(len(self._outcomes))]
        calls = self._take(max_rows)
        if self.queued >= min(self._half, max_rows):
            self._due.set()
        return Drained(served=list(self._batches(calls)), outcomes=outcomes)

    def _take(self, max_rows: int) -> list[Answered]:
        taken: list[Answered] = []
        rows = 0
        while self._calls and (not taken or rows + len(self._calls[0].request_ids) <= max_rows):
            call = self._calls.popleft()
            rows += len(call.request_ids)
            taken.append(call)
        self._drained += rows
        return taken

    def _batches(self, calls: Iterable[Answered]) -> Iterator[ServedBatch]:
        """One for each model: where a canary takes every few calls, batches of each run would be tiny."""
        by_model: defaultdict[str, list[Answered]] = defaultdict(list)
        for call in calls:
            by_model[call.model.digest].append(call)
        for of_model in by_model.values():
            yield _batch(of_model, self._groups)
            self._groups += len(of_model)


def _batch(calls: Sequence[Answered], first_group: int) -> ServedBatch:
    """Lay calls of one model out in columns; call i is inference group first_group + i."""
    rows = np.array([len(call.request_ids) for call in calls])

    def spread(values: Sequence[int]) -> NDArray[np.int64]:
        return np.repeat(np.array(values, np.int64), rows)

    return ServedBatch(
        model=calls[0].model,
        request_ids=to_ids([request_id for call in calls for request_id in call.request_ids]),
        client=np.repeat(np.array([call.client for call in calls], object), rows),
        received_ns=spread([call.received_ns for call in calls]),
        event_ns=spread([call.event_ns for call in calls]),
        group=spread(range(first_group, first_group + len(calls))),
        blocks=Blocks.concat([call.blocks for call in calls]),
        features=np.concatenate([call.prediction.features for call in calls]),
        score=np.concatenate([call.prediction.score for call in calls]),
        decision=np.concatenate([call.prediction.decision for call in calls]),
        propensity=np.concatenate([call.propensity for call in calls]),
        queue_ns=spread([call.queue_ns for call in calls]),
        failed_ns=spread([call.failed_ns for call in calls]),
        infer_ns=spread([call.prediction.infer_ns for call in calls]),
        cpu_ns=spread([call.prediction.cpu_ns for call in calls]),
    )
