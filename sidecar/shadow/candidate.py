"""One candidate: its queue of rows, the thread that feeds its worker, its restarts and its quarantine."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING

import numpy as np

from sidecar.domain import Failure, ScoreBatch
from sidecar.shadow.chunk import Chunk
from sidecar.shadow.process import Ended, WorkerProcess
from sidecar.shadow.status import Role, ShadowState, ShadowStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.config import Shadow
    from sidecar.domain import BundleRef, ServedBatch

_MOST_BACKOFF_SECONDS = 5.0
_NOT_GIVEN = (Failure.SHED, Failure.QUARANTINED, Failure.STOPPED)
_logger = logging.getLogger(__name__)


class Candidate:
    """Scores offered rows in a worker process; hands over exactly one result for each row, by `finished`.

    engine: the name of the one that serves the champion, as which the worker runs the candidate.
    `finished` is called by the candidate's own thread and by those that call `offer`. The methods may be
    called by any thread and do not wait, but for `join`.
    """

    def __init__(
        self,
        ref: BundleRef,
        role: Role,
        engine: str,
        settings: Shadow,
        finished: Callable[[ScoreBatch], None],
    ) -> None:
        self.model = ref.model
        self.role = role
        self._bundle = ref.path
        self._engine = engine
        self._settings = settings
        self._finished = finished
        self._changed = threading.Condition()
        # All below belong to whoever holds `_changed`.
        self._waiting: deque[Chunk] = deque()  # the first may be in the worker's hands; it stays until done
        self._rows_waiting = 0
        self._made: Counter[Failure] = Counter()
        self._crashes: deque[float] = deque()
        self._starts = 0
        self._state = ShadowState.RESTARTING
        self._why_over = ""
        self._worker: WorkerProcess | None = None
        self._draining = False
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=f"shadow {self.model}", daemon=True)
        self._thread.start()

    def offer(self, batch: ServedBatch, signature: str | None) -> None:
        """Queue the rows of `batch`; those that find no room, or no worker any more, get their failure now.

        signature: digest of the signature of the batch's champion, None when not known.
        """
        left = Chunk(batch, 0, len(batch), signature)
        with self._changed:
            over = self._over()
            if over is None:
                taken, left = left.cut(left.whole_calls(self._settings.queue_rows - self._rows_waiting))
                if len(taken):
                    self._waiting.append(taken)
                    self._rows_waiting += len(taken)
                    self._changed.notify_all()
        shed = Failure.SHED, f"the candidate's queue of {self._settings.queue_rows} rows is full"
        self._fail(left, *(over or shed))

    def drain(self) -> None:
        """End once no rows wait."""
        with self._changed:
            self._draining = True
            self._changed.notify_all()

    def end(self) -> None:
        """End now: kill the worker; rows that it has not scored yet become STOPPED."""
        with self._changed:
            self._ending = True
            if self._worker:
                self._worker.kill()
            self._changed.notify_all()

    def join(self, seconds: float | None = None) -> bool:
        """Wait until every row has its result after `drain` or `end`; say whether that is so."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def status(self) -> ShadowStatus:
        """How it is doing now."""
        with self._changed:
            shed = sum(self._made[why] for why in _NOT_GIVEN)
            return ShadowStatus(
                model=self.model,
                role=self.role,
                state=self._state,
                scored=self._made[Failure.NONE],
                failed=self._made.total() - self._made[Failure.NONE] - shed,
                shed=shed,
                queued=self._rows_waiting,
                restarts=max(0, self._starts - 1),
            )

    def _run(self) -> None:
        try:
            while self._wait_to_start():
                ended = self._live()
                if ended and not self._ending:
                    self._count_crash(ended)
        finally:
            self._give_up()

    def _wait_to_start(self) -> bool:
        """Sit out the back-off; say whether a worker shall be started at all."""
        with self._changed:
            if self._over():
                return False
            if self._crashes:
                backoff = self._settings.backoff_seconds * 2 ** (len(self._crashes) - 1)
                self._changed.wait_for(self._nothing_left, min(_MOST_BACKOFF_SECONDS, backoff))
            return not self._nothing_left()

    def _nothing_left(self) -> bool:
        return self._ending or (self._draining and not self._waiting)

    def _live(self) -> Ended | None:
        """One life of a worker. None when it ended because there is nothing left to do."""
        try:
            worker = WorkerProcess(self._bundle, self._engine, self._settings)
        except OSError as error:
            return Ended(Failure.NONE, f"no process could be started: {error}")
        try:
            with self._changed:
                self._starts += 1
                self._worker = worker
                if self._ending:
                    return None
            return self._feed(worker)
        finally:
            with self._changed:
                self._worker = None
            worker.close()

    def _feed(self, worker: WorkerProcess) -> Ended | None:
        loaded = worker.wait_loaded()
        if isinstance(loaded, Ended):
            return loaded
        with self._changed:
            self._state = ShadowState.RUNNING
        while chunk := self._next_chunk():
            if chunk.signature not in (None, loaded.signature):
                self._fail(chunk, Failure.RAISED, "the candidate has another signature than the champion")
                self._finish(chunk)
                continue
            ended = worker.score(chunk)
            done, rest = chunk.cut(worker.results.done)
            if len(done):
                self._hand_over(worker.results.read(self.model, chunk.batch.model, done.request_ids))
            if ended and ended.failure and len(rest) and not self._ending:
                # The call in hand takes the blame, the others wait for the next worker.
                blamed, rest = rest.cut(rest.first_call())
                self._fail(blamed, ended.failure, ended.detail)
            self._finish(chunk, rest)
            if ended:
                return ended
        return None

    def _next_chunk(self) -> Chunk | None:
        """Wait for rows; None when there will be none. The chunk stays first in the queue until `_finish`."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._nothing_left())
            if self._nothing_left():
                return None
            first = self._waiting[0]
            # A call larger than a chunk still goes as one: its time is compared with the champion's.
            chunk, rest = first.cut(first.whole_calls(self._settings.chunk_rows) or first.first_call())
            if len(rest):
                self._waiting[0] = rest
                self._waiting.appendleft(chunk)
            return chunk

    def _finish(self, chunk: Chunk, rest: Chunk | None = None) -> None:
        """Take `chunk` off the queue, but for the `rest` of it that must go to the next worker."""
        with self._changed:
            self._waiting.popleft()
            self._rows_waiting -= len(chunk)
            if rest:
                self._waiting.appendleft(rest)
                self._rows_waiting += len(rest)

    def _count_crash(self, ended: Ended) -> None:
        now = time.monotonic()
        limit, window = self._settings.crashes, self._settings.crash_window_seconds
        with self._changed:
            self._crashes.append(now)
            while self._crashes[0] < now - window:
                self._crashes.popleft()
            if len(self._crashes) < limit:
                self._state = ShadowState.RESTARTING
            else:
                self._state = ShadowState.QUARANTINED
                self._why_over = f"{limit} crashes or time-outs within {window:g} s; the last: {ended.detail}"
        _logger.warning("shadow %s: %s; now %s", self.model, ended.detail, self._state)

    def _give_up(self) -> None:
        """Give each row that still waits its failure. Later rows get theirs when they are offered."""
        with self._changed:
            if self._state is not ShadowState.QUARANTINED:
                self._state = ShadowState.STOPPED
                self._why_over = "the shadow ended before the row's turn came"
            over = self._over()
            left = list(self._waiting)
            self._waiting.clear()
            self._rows_waiting = 0
        assert over is not None
        for chunk in left:
            self._fail(chunk, *over)

    def _over(self) -> tuple[Failure, str] | None:
        if self._state is ShadowState.QUARANTINED:
            return Failure.QUARANTINED, self._why_over
        if self._state is ShadowState.STOPPED:
            return Failure.STOPPED, self._why_over
        return None

    def _fail(self, chunk: Chunk, why: Failure, detail: str) -> None:
        if len(chunk):
            self._hand_over(ScoreBatch.failed(self.model, chunk.batch.model, chunk.request_ids, why, detail))

    def _hand_over(self, batch: ScoreBatch) -> None:
        with self._changed:
            counts = np.bincount(batch.failure_rows, minlength=len(batch.failures)).tolist()
            for (failure, _), count in zip(batch.failures, counts, strict=True):
                self._made[failure] += count
        self._finished(batch)
