"""The books of each run of the writer: closed in order, after a kill, and without a ledger."""

import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from test_log_store import served

from sidecar.domain import to_texts
from sidecar.ledger import Ledger
from sidecar.store.log import LogStore
from sidecar.store.reader import LogReader


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.db"


def test_a_run_closed_in_order_has_its_books_and_no_ledger(path):
    store = LogStore(path)
    ledger = store.new_ledger()
    run = store.open_run(ledger)
    ledger.offer(5)
    ledger.drop(2)
    ledger.fail(1)
    store.write([served(["a"])], [], [])
    with LogReader(path) as reader:
        (now,) = reader.runs()
        assert (now.number, now.offered, now.written, now.lost, now.closed_ns) == (run.number, 5, 1, 1, None)
    ledger.offer(-1)
    store.close_run()
    store.close()
    assert not ledger.path.exists()
    ledger.close()
    with LogReader(path) as reader:
        (closed,) = reader.runs()
    assert closed.closed_ns is not None
    assert (closed.offered, closed.dropped, closed.failed, closed.written, closed.lost) == (4, 2, 1, 1, 0)


KILLED = """
    import sys, threading
    from pathlib import Path
    from sidecar.domain import Outcome
    from sidecar.store.log import LogStore
    from test_log_store import served

    store = LogStore(Path(sys.argv[1]))
    ledger = store.new_ledger()
    store.open_run(ledger)
    ledger.drop(3)
    ledger.fail(2)
    ledger.offer(5)
    number = 0
    while True:
        batches = []
        for _ in range(20):
            ledger.offer(50)
            batches.append(served([f"{number}-{row}" for row in range(50)]))
        (receipt,) = store.write(batches, [], [[Outcome(f"o{number}", 1.0, None, number)]])
        print(number, receipt.stored, flush=True)
        number += 1
"""


def test_after_kill_9_every_acknowledged_outcome_is_there_and_lost_rows_are_counted(path):
    for life in range(1, 4):
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(KILLED), path],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent,
        )
        with child:
            acknowledged = [child.stdout.readline() for _ in range(20)]
            # A little later each time, so that the kill falls into different moments of a write.
            threading.Event().wait(0.003 * life)
            child.send_signal(signal.SIGKILL)
            acknowledged += child.stdout
        acknowledged = [line.split()[0] for line in acknowledged if line.endswith("\n")]
        (ledger_path,) = path.parent.glob("*.ledger")
        counted = Ledger.read(ledger_path)

        with LogReader(path) as reader:  # before the next run, with the write-ahead log as the kill left it
            assert {f"o{number}" for number in acknowledged} <= set(to_texts(reader.outcomes().request_ids))

        store = LogStore(path)
        run = store.open_run(store.new_ledger())
        with LogReader(path) as reader:
            dead = reader.runs()[-2]
            written = sum(len(batch) for batch in reader.served())
            earlier = sum(r.written for r in reader.runs()[:-2])
        assert dead.number == run.number - 1
        assert dead.closed_ns is not None
        assert {name: getattr(dead, name) for name in counted} == counted
        assert dead.written == written - earlier
        assert dead.lost == dead.offered - dead.dropped - dead.failed - dead.written
        assert dead.lost <= 1000
        assert store.lost_before >= dead.lost
        assert not ledger_path.exists()
        store.close_run()
        store.close()


def test_a_run_without_its_ledger_stays_open(path, caplog):
    for _ in range(2):
        store = LogStore(path)
        ledger = store.new_ledger()
        store.open_run(ledger)
        store.write([served(["a"])], [], [])
        store.close()
        ledger.close()
        ledger.path.unlink()
    with LogReader(path) as reader:
        assert [run.closed_ns for run in reader.runs()] == [None, None]
        assert [run.lost for run in reader.runs()] == [0, 0]
    assert "its lost rows are not known" in caplog.text


def test_a_home_that_moved_after_a_crash_still_closes_its_books(tmp_path):
    (tmp_path / "one").mkdir()
    store = LogStore(tmp_path / "one" / "log.db")
    ledger = store.new_ledger()
    store.open_run(ledger)
    ledger.offer(4)
    store.close()
    ledger.close()
    (tmp_path / "one").rename(tmp_path / "two")
    store = LogStore(tmp_path / "two" / "log.db")
    store.open_run(store.new_ledger())
    assert store.lost_before == 4
    store.close()
