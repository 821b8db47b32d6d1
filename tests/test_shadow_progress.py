import subprocess
import sys
import time

import pytest

from sidecar.shadow.progress import Work

BEGUN = Work(done=5, at_seconds=100.0, cpu_seconds=7.0, runnable=True)


@pytest.mark.parametrize(
    ("now", "stalled"),
    [
        (Work(5, 101.5, 8.5, runnable=True), False),
        (Work(5, 102.5, 9.5, runnable=True), True),
        (Work(6, 102.5, 9.5, runnable=True), False),
        # It wants a core and is given none.
        (Work(5, 900.0, 7.1, runnable=True), False),
        # It waits for something else.
        (Work(5, 101.5, 7.1, runnable=False), False),
        (Work(5, 102.5, 7.1, runnable=False), True),
        (Work(6, 102.5, 7.1, runnable=False), False),
    ],
)
def test_a_call_has_so_many_seconds_without_those_for_which_it_waits_for_a_core(now, stalled):
    assert now.stalled_since(BEGUN, 2.0) is stalled


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of another process's time")
@pytest.mark.parametrize(
    ("program", "busy"), [("while True: pass", True), ("import time; time.sleep(600)", False)]
)
def test_what_a_process_does_is_seen(program, busy):
    process = subprocess.Popen([sys.executable, "-S", "-c", program])
    with process:
        time.sleep(1.0)
        first = Work.of(process.pid, 0)
        time.sleep(0.5)
        second = Work.of(process.pid, 0)
        process.kill()
    assert second.runnable is busy
    assert (second.cpu_seconds - first.cpu_seconds > 0.05) is busy


def test_where_a_process_cannot_be_seen_all_time_counts():
    found = Work.of(2**30, 3)
    assert (found.done, found.cpu_seconds, found.runnable) == (3, 0.0, False)
    assert found.at_seconds <= time.monotonic()
