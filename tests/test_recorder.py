import os
import sys
import threading
from collections import deque
from dataclasses import replace

import numpy as np
import pytest
import shadowed
from shadowed import until
from tiny_bundles import Misbehaviour, tiny_bundle

from sidecar.config import Recorder as Settings
from sidecar.config import Shadow
from sidecar.domain import Deployment, Failure, Outcome, OutcomeReceipt, to_texts
from sidecar.engine.contract import Drained, PendingOutcomes
from sidecar.errors import UnavailableError
from sidecar.profile.live import NoProfiles
from sidecar.recorder import Recorder
from sidecar.shadow.supervisor import ShadowSupervisor
from sidecar.signature import Blocks
from sidecar.store.log import LogStore
from sidecar.store.reader import LogReader

SETTINGS = Settings(flush_seconds=0.01, batch_rows=100)


class QueueEngine:
    """The recorder's side of an engine over plain queues, unbounded."""

    name = "queue"

    def __init__(self, ledger, needs_gil):
        self.needs_gil = needs_gil
        self._ledger = ledger
        self._served = deque()
        self._outcomes = deque()
        self._tickets = 0
        self._settled = {}
        self._changed = threading.Condition()

    def answer(self, batch):
        with self._changed:
            self._ledger.offer(len(batch))
            self._served.append(batch)

    def record_outcomes(self, *outcomes):
        """Wait until the recorder settles the call, and give what it said."""
        with self._changed:
            self._tickets += 1
            ticket = self._tickets
            self._outcomes.append(PendingOutcomes(ticket, outcomes))
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: ticket in self._settled, 60)
            return self._settled.pop(ticket)

    def drain(self, max_rows, wait_seconds):
        with self._changed:
            self._changed.wait_for(lambda: self._outcomes, wait_seconds)
            served = []
            while self._served and max_rows > 0:
                served.append(self._served.popleft())
                max_rows -= len(served[-1])
            outcomes = tuple(self._outcomes)
            self._outcomes.clear()
            return Drained(served, outcomes)

    def settle(self, ticket, result):
        with self._changed:
            assert ticket not in self._settled
            self._settled[ticket] = result
            self._changed.notify_all()


class Parts:
    """A recorder with its real store, ledger and shadows."""

    def __init__(self, folder, settings=SETTINGS, *, needs_gil=True):
        self.path = folder / "log.db"
        self.store = LogStore(self.path)
        self.ledger = self.store.new_ledger()
        self.store.open_run(self.ledger)
        self.engine = QueueEngine(self.ledger, needs_gil)
        settings_of_shadows = Shadow(copy_share=0, nice=0, backoff_seconds=0.01, stall_seconds=60)
        self.shadows = ShadowSupervisor("python", settings_of_shadows)
        self.recorder = Recorder(
            self.engine, self.store, self.shadows, self.ledger, settings, profiles=NoProfiles()
        )
        self.recorder.start()

    def stop(self, grace_seconds=60.0):
        self.recorder.stop(grace_seconds)
        self.store.close()

    def pragma(self, text):
        """Set a limit on the writer's own connection."""
        return self.store._connection.execute(f"PRAGMA {text}").fetchone()[0]

    def fill_disk(self):
        self.pragma(f"max_page_count = {self.pragma('page_count')}")

    def make_room(self):
        self.pragma("max_page_count = 1000000")


@pytest.fixture
def parts(tmp_path):
    parts = Parts(tmp_path)
    yield parts
    if parts.recorder._thread.is_alive():
        parts.stop(0)


def served(champion, rows, prefix="r", *, triggers=()):
    """With many features, so that a small disk is full soon."""
    features = np.random.default_rng(rows).random((rows, 100), np.float32)
    return replace(shadowed.served(champion, rows, triggers=triggers, prefix=prefix), features=features)


def outcome(request, label=1.0):
    return Outcome(request, label, None, 1)


def test_rows_scores_and_outcomes_reach_the_log(tmp_path, parts, champion):
    candidate = tiny_bundle(tmp_path, "2", misbehaviour=Misbehaviour.DIES).ref
    parts.shadows.deploy(Deployment(1, champion, (candidate,)))
    for number in range(10):
        parts.engine.answer(served(champion, 30, f"{number}-", triggers={3} if number == 5 else ()))
    assert parts.engine.record_outcomes(outcome("0-0"), outcome("0-1")) == OutcomeReceipt(2, 0, ())
    assert parts.engine.record_outcomes(outcome("0-0"), outcome("0-1", 0.0)) == OutcomeReceipt(0, 1, ("0-1",))
    parts.stop()
    with LogReader(parts.path) as reader:
        requests = [request for batch in reader.served() for request in to_texts(batch.request_ids)]
        scores = {
            request: failure
            for batch in reader.scores(candidate.model.digest, champion.model.digest)
            for request, failure in zip(to_texts(batch.request_ids), batch.failure, strict=True)
        }
        assert reader.counts().scores == len(scores)
        (run,) = reader.runs()
    assert requests == [f"{number}-{row}" for number in range(10) for row in range(30)]
    assert scores == dict.fromkeys(requests, Failure.NONE) | {"5-3": Failure.CRASHED}
    assert (run.offered, run.written, run.lost, run.closed_ns is None) == (300, 300, 0, False)
    stats = parts.recorder.stats()
    assert (stats.written, stats.failed, stats.outcomes, stats.lost_before) == (300, 0, 2, 0)


def test_an_acknowledged_outcome_is_in_the_log(parts):
    for number in range(20):
        parts.engine.record_outcomes(outcome(f"r{number}"))
        with LogReader(parts.path) as reader:
            assert reader.counts().outcomes == number + 1


def test_rows_that_the_shadows_do_not_get_to_are_recorded_as_stopped(tmp_path, parts, champion):
    candidate = tiny_bundle(tmp_path, "2", misbehaviour=Misbehaviour.SLEEPS).ref
    parts.shadows.deploy(Deployment(1, champion, (candidate,)))
    parts.engine.answer(served(champion, 50, triggers={10}))
    parts.stop(0.5)
    with LogReader(parts.path) as reader:
        batches = list(reader.scores(candidate.model.digest, champion.model.digest))
    failures = [failure for batch in batches for failure in batch.failure]
    assert len(failures) == 50
    assert set(failures[10:]) == {Failure.STOPPED}


def test_while_the_disk_is_full_outcomes_are_refused_and_rows_wait(parts, champion):
    parts.fill_disk()
    for number in range(5):
        parts.engine.answer(served(champion, 100, f"{number}-"))
    refused = parts.engine.record_outcomes(outcome("a"))
    assert isinstance(refused, UnavailableError)
    assert "full" in str(refused)
    assert parts.recorder.stats().written == 0
    parts.make_room()
    until(lambda: parts.recorder.stats().written == 500)
    assert parts.engine.record_outcomes(outcome("a")) == OutcomeReceipt(1, 0, ())
    assert parts.recorder.stats().failed == 0


def test_rows_beyond_the_bound_are_given_up_and_counted(parts, champion):
    parts.fill_disk()
    for number in range(20):
        parts.engine.answer(served(champion, 100, f"{number}-"))
    until(lambda: parts.recorder.stats().failed == 1200)
    parts.make_room()
    parts.stop()
    with LogReader(parts.path) as reader:
        (run,) = reader.runs()
        first = next(reader.served()).request_ids[0].decode()
    assert (run.offered, run.failed, run.written, run.lost) == (2000, 1200, 800, 0)
    assert first == "12-0"


def test_a_disk_that_stays_full_ends_in_counted_rows_not_lost_ones(tmp_path, parts, champion):
    parts.fill_disk()
    parts.engine.answer(served(champion, 100))
    parts.stop()
    assert parts.recorder.stats().failed == 100
    again = Parts(tmp_path)
    again.stop()
    with LogReader(again.path) as reader:
        died, _ = reader.runs()
    assert (died.offered, died.failed, died.written, died.lost) == (100, 100, 0, 0)


def test_rows_that_can_never_be_written_do_not_hold_up_others(parts, champion):
    good = served(champion, 10)
    broken = served(champion, 10, "broken")
    object.__setattr__(broken, "blocks", Blocks(None, None, None))
    parts.engine.answer(broken)
    until(lambda: parts.recorder.stats().failed == 10)
    parts.engine.answer(good)
    until(lambda: parts.recorder.stats().written == 10)
    assert parts.ledger.failed == 10


def test_trouble_with_the_candidates_touches_no_outcome_and_no_row(parts, champion, monkeypatch):
    def broken(_):
        raise MemoryError

    monkeypatch.setattr(parts.shadows, "offer", broken)
    parts.engine.answer(served(champion, 3))
    assert parts.engine.record_outcomes(outcome("r0")) == OutcomeReceipt(1, 0, ())
    until(lambda: parts.recorder.stats().written == 3)


def test_the_next_recorder_knows_what_was_lost(tmp_path):
    dead = LogStore(tmp_path / "log.db")
    ledger = dead.new_ledger()
    dead.open_run(ledger)
    ledger.offer(7)
    ledger.drop(2)
    dead.close()  # as a killed process leaves it: unlocked, its run open
    parts = Parts(tmp_path)
    parts.stop()
    assert parts.recorder.stats().lost_before == 5


def test_stop_drains_what_the_engine_still_holds(parts, champion):
    for number in range(30):
        parts.engine.answer(served(champion, 100, f"{number}-"))
    parts.stop()
    assert parts.recorder.stats().written == 3000
    assert not parts.ledger.path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no niceness of its own")
@pytest.mark.parametrize(("needs_gil", "added"), [(True, 0), (False, 5)])
def test_replies_go_first_unless_they_would_wait_for_the_recorder_s_gil(tmp_path, needs_gil, added):
    parts = Parts(tmp_path, needs_gil=needs_gil)
    thread, own = parts.recorder._thread.native_id, os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    try:
        until(lambda: os.getpriority(os.PRIO_PROCESS, thread) == own + added)
    finally:
        parts.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no niceness of its own")
def test_rows_are_recorded_where_a_sandbox_forbids_priorities(tmp_path, champion, monkeypatch, caplog):
    def forbidden(*_):
        raise PermissionError("not permitted")

    monkeypatch.setattr(os, "setpriority", forbidden)
    parts = Parts(tmp_path, needs_gil=False)
    parts.engine.answer(served(champion, 3))
    parts.stop()
    assert parts.recorder.stats().written == 3
    assert "recording has the priority of the threads that answer: not permitted" in caplog.text
