"""Carries what the engine answered to the shadows, the log and the live profiles, and holds up no reply."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.errors import UnavailableError
from sidecar.sampling import is_kept
from sidecar.store.backlog import Backlog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar import config
    from sidecar.domain import ScoreBatch, ServedBatch
    from sidecar.engine.contract import Engine, PendingOutcomes
    from sidecar.ledger import Ledger
    from sidecar.profile.live import LiveProfiles, NoProfiles
    from sidecar.shadow.supervisor import ShadowSupervisor
    from sidecar.store.log import LogStore

_HELD_BATCHES = 8
"""Times `batch_rows`: rows kept in memory at most while the log refuses them."""
_SCORES_WAIT = 5.0
"""Times `flush_seconds`: how long scores wait for answered rows or outcomes to be written with. A transaction
of a few hundred scores costs as much as writing a thousand rows."""
_SCORE_ROWS = 4
"""Times `batch_rows`: scores written together at most. Several candidates score each row, and large cells and
few transactions cost less."""
_NICENESS = 5
"""Above that of the threads that answer calls: the recorder keeps a quarter of a core that they fill, enough
for their rows. With 10 it had a tenth, fell behind in bursts and its rows filled the ring."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecorderStats:
    """Rows since the start.

    written: answered rows in the log; sampled_out: answered rows that are not to be kept; failed: answered
    rows that the log refused for too long; waiting: answered rows that it has not taken yet. scores_failed:
    candidates' scores that it refused. outcomes: newly stored. lost_before: answered rows that earlier runs
    lost when they were killed.
    """

    written: int
    sampled_out: int
    failed: int
    waiting: int
    scores_failed: int
    outcomes: int
    lost_before: int


class Recorder:
    """One thread between engine, shadows and log; the only user of the store's open run.

    A call's outcomes are settled once they are on disk, or refused at once when the log cannot be written.
    Answered rows and scores that the log refuses are tried again with the next batch; the oldest are given up
    and counted when too many wait.
    """

    def __init__(
        self,
        engine: Engine,
        store: LogStore,
        shadows: ShadowSupervisor,
        ledger: Ledger,
        settings: config.Recorder,
        *,
        profiles: LiveProfiles | NoProfiles,
    ) -> None:
        self._engine = engine
        self._store = store
        self._shadows = shadows
        self._ledger = ledger
        self._settings = settings
        self._profiles = profiles
        self._served: Backlog[ServedBatch] = Backlog(_HELD_BATCHES * settings.batch_rows)
        self._scores: Backlog[ScoreBatch] = Backlog(_HELD_BATCHES * settings.batch_rows)
        self._most_scores = _SCORE_ROWS * settings.batch_rows
        self._written = self._failed = self._scores_failed = self._outcomes = 0
        self._lost_before = store.lost_before
        self._scores_due = 0.0  # on the monotonic clock; when those that wait are written in any case
        self._refused = False
        self._grace_seconds = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin; the store's run must be open."""
        self._thread.start()

    def stop(self, grace_seconds: float = 10.0) -> None:
        """Record what is left, end the shadows, close the run's books; stop the engine before.

        The shadows get `grace_seconds` for the rows that still wait for them.
        """
        self._grace_seconds = grace_seconds
        self._stopping.set()
        self._thread.join()

    def stats(self) -> RecorderStats:
        """Counters now; called by any thread."""
        return RecorderStats(
            written=self._written,
            sampled_out=self._ledger.sampled_out,
            failed=self._failed,
            waiting=self._served.rows,
            scores_failed=self._scores_failed,
            outcomes=self._outcomes,
            lost_before=self._lost_before,
        )

    def _run(self) -> None:
        if not self._engine.needs_gil:
            _step_back()
        while not self._stopping.is_set():
            self._step(self._settings.flush_seconds)
        while self._step(0.0):
            pass
        self._scores.add(self._shadows.stop(self._grace_seconds))
        self._scores_due = 0.0
        self._write(())
        self._give_up(self._served.remove(len(self._served)), self._scores.remove(len(self._scores)))
        try:
            self._store.close_run()
        except UnavailableError as error:
            _logger.warning("the run's books stay open for the next process: %s", error)

    def _step(self, wait_seconds: float) -> bool:
        """Carry one batch; says whether there was anything."""
        try:
            drained = self._engine.drain(self._settings.batch_rows, wait_seconds)
            served = self._sample(drained.served)
            self._served.add(served)
            self._shadow(served)
            self._write(drained.outcomes)
            self._profile(drained.served)
        except Exception:  # whatever it was, the next batch must still be recorded
            _logger.exception("a batch was not recorded as it should be")
            self._stopping.wait(wait_seconds)
            return False
        return bool(drained.served or drained.outcomes)

    def _sample(self, batches: Sequence[ServedBatch]) -> Sequence[ServedBatch]:
        """The rows that are to be kept; the others are counted."""
        if self._settings.share == 1:
            return batches
        kept = [batch.take(is_kept(batch.request_ids, self._settings.share)) for batch in batches]
        self._ledger.sample_out(sum(map(len, batches)) - sum(map(len, kept)))
        return [batch for batch in kept if len(batch)]

    def _shadow(self, batches: Sequence[ServedBatch]) -> None:
        try:
            for batch in batches:
                self._shadows.offer(batch)
            if not self._scores:
                self._scores_due = time.monotonic() + _SCORES_WAIT * self._settings.flush_seconds
            self._scores.add(self._shadows.collect())
        except Exception:  # what goes wrong with candidates must not touch what is written and acknowledged
            _logger.exception("rows were not offered to the candidates as they should be")

    def _profile(self, batches: Sequence[ServedBatch]) -> None:
        try:
            self._profiles.count(batches)
        except Exception:  # counts are no reason to lose what is recorded
            _logger.exception("rows were not counted as they should be")

    def _write(self, calls: Sequence[PendingOutcomes]) -> None:
        """Write all that waits, and settle `calls` with the first transaction."""
        while calls or self._served or self._scores_to_write():
            served = self._served.head(self._settings.batch_rows)
            scores = self._scores.head(self._most_scores)
            try:
                receipts = self._store.write(served, scores, [call.outcomes for call in calls])
            except UnavailableError as error:
                self._refuse(calls, error)
                self._give_up(self._served.trim(), self._scores.trim())
                return
            except Exception as error:  # rows that can never be written must not hold up those behind them
                _logger.exception("rows that the log cannot take")
                self._refuse(calls, UnavailableError(f"not recorded: {error}"))
                self._give_up(self._served.remove(len(served)), self._scores.remove(len(scores)))
            else:
                self._refused = False
                self._written += self._served.remove(len(served))
                self._scores.remove(len(scores))
                self._outcomes += sum(receipt.stored for receipt in receipts)
                for call, receipt in zip(calls, receipts, strict=True):
                    self._engine.settle(call.ticket, receipt)
            calls = ()

    def _scores_to_write(self) -> bool:
        due = self._scores.rows >= self._most_scores or time.monotonic() >= self._scores_due
        return bool(self._scores) and due

    def _refuse(self, calls: Sequence[PendingOutcomes], error: UnavailableError) -> None:
        if not self._refused:
            _logger.warning("%s", error)
        self._refused = True
        for call in calls:
            self._engine.settle(call.ticket, error)

    def _give_up(self, served: int, scores: int) -> None:
        if served:
            self._ledger.fail(served)
            self._failed += served
        self._scores_failed += scores
        if served or scores:
            _logger.error("given up: %d answered rows and %d scores that the log refused", served, scores)


def _step_back() -> None:
    """Leave the cores to the threads that answer calls; rows that then find the ring full are counted.

    Not where replies need the GIL: they would wait for a thread that holds it and that nobody gives a core.
    """
    if sys.platform == "linux":  # elsewhere it would be the whole process
        thread = threading.get_native_id()
        try:
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS)
        except OSError as error:  # a sandbox may forbid it; recording goes on
            _logger.warning("recording has the priority of the threads that answer: %s", error)
