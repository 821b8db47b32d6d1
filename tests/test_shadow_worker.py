"""The process that scores a candidate: its limits, its share of the processor, its end."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
from running_engine import ENGINES
from shadowed import SETTINGS, failures_of, served, until, until_idle, worker_pid
from tiny_bundles import Misbehaviour, tiny_bundle

from sidecar.domain import Deployment, Failure
from sidecar.shadow.supervisor import ShadowSupervisor


def test_a_worker_killed_while_idle_costs_no_row(tmp_path, champion, start_shadow):
    supervisor = start_shadow(tiny_bundle(tmp_path, "2").ref)
    until(lambda: supervisor.status()[0].state == "running")
    os.kill(worker_pid(supervisor), signal.SIGKILL)
    supervisor.offer(served(champion, 10))
    until_idle(supervisor)
    by_request = failures_of(supervisor.collect())
    assert len(by_request) == 10
    assert supervisor.status()[0].restarts == 1


def test_a_worker_has_its_limits_and_ignores_signals_to_the_group(tmp_path, champion, start_shadow):
    supervisor = start_shadow(
        tiny_bundle(tmp_path, "2").ref, settings=replace(SETTINGS, memory_mb=3000, nice=7)
    )
    until(lambda: supervisor.status()[0].state == "running")
    pid = worker_pid(supervisor)
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    (space,) = (line.split()[3:5] for line in limits if line.startswith("Max address space"))
    (core,) = (line.split()[4:6] for line in limits if line.startswith("Max core file size"))
    assert space == [str(3000 * 1024 * 1024)] * 2
    assert core == ["0", "0"]
    assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0) + 7
    # In another session the niceness would not count against the serving process.
    assert os.getsid(pid) == os.getsid(0)
    assert os.getpgid(pid) == pid
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    supervisor.offer(served(champion, 10))
    until_idle(supervisor)
    assert supervisor.status()[0].scored == 10
    assert supervisor.status()[0].restarts == 0


def test_a_worker_takes_the_time_that_nobody_else_wants(tmp_path, start_shadow):
    policies = {}
    for scheduling in ("idle", "nice"):
        settings = replace(SETTINGS, scheduling=scheduling)
        supervisor = start_shadow(tiny_bundle(tmp_path, scheduling).ref, settings=settings)
        until(lambda one=supervisor: one.status()[0].state == "running")
        policies[scheduling] = os.sched_getscheduler(worker_pid(supervisor))
    assert policies == {"idle": os.SCHED_IDLE, "nice": os.SCHED_OTHER}


@pytest.mark.skipif("native" not in ENGINES, reason="the native engine is not built")
def test_a_native_worker_leaves_its_core_now_and_then(tmp_path, champion):
    supervisor = ShadowSupervisor("native", SETTINGS)
    supervisor.deploy(Deployment(1, champion, (tiny_bundle(tmp_path, "2").ref,)))
    until(lambda: supervisor.status()[0].state == "running")
    status = Path(f"/proc/{worker_pid(supervisor)}/status")
    left = []
    for _ in range(2):
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("voluntary"))
        left.append(int(line.split()[1]))
        supervisor.offer(served(champion, 8192))
        until_idle(supervisor)
    supervisor.stop(0)
    # Four chunks; at a microsecond and more for a row, they take 8 ms and more.
    assert left[1] - left[0] > 15


def test_a_worker_that_gets_no_core_is_not_to_blame(tmp_path, champion, start_shadow):
    settings = replace(SETTINGS, scheduling="idle", stall_seconds=0.1, chunk_rows=16)
    supervisor = start_shadow(tiny_bundle(tmp_path, "2").ref, settings=settings)
    until(lambda: supervisor.status()[0].state == "running")
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(worker_pid(supervisor), {core})
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    with busy:
        os.sched_setaffinity(busy.pid, {core})
        supervisor.offer(served(champion, 1000))
        time.sleep(1.0)
        busy.kill()
    until_idle(supervisor)
    assert set(failures_of(supervisor.collect()).values()) == {Failure.NONE}
    assert supervisor.status()[0].restarts == 0


def test_too_little_memory_costs_the_candidate_only(tmp_path, champion, start_shadow):
    settings = replace(SETTINGS, memory_mb=8, crashes=1)
    supervisor = start_shadow(tiny_bundle(tmp_path, "2").ref, settings=settings)
    supervisor.offer(served(champion, 3))
    until_idle(supervisor)
    assert set(failures_of(supervisor.collect()).values()) == {Failure.QUARANTINED}


def test_a_worker_dies_with_a_sidecar_that_is_killed(tmp_path, champion):
    candidate = tiny_bundle(tmp_path, "2", misbehaviour=Misbehaviour.SLEEPS).ref
    program = """
        import sys, time
        from pathlib import Path
        from sidecar.bundle import open_bundle
        from dataclasses import replace
        from sidecar.domain import Deployment
        from sidecar.shadow.supervisor import ShadowSupervisor
        from shadowed import SETTINGS, served, until, worker_pid

        champion, candidate = (open_bundle(Path(path)).ref for path in sys.argv[1:])
        supervisor = ShadowSupervisor("python", replace(SETTINGS, stall_seconds=600))
        supervisor.deploy(Deployment(1, champion, (candidate,)))
        supervisor.offer(served(champion, 2, triggers={1}))
        results = lambda: supervisor._candidates[0]._worker.results.done
        until(lambda: supervisor.status()[0].state == "running" and results() == 1)
        print(worker_pid(supervisor), flush=True)
        time.sleep(600)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), champion.path, candidate.path],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )
    with child:
        pid = int(child.stdout.readline())
        assert not is_gone(pid)
        child.kill()
    until(lambda: is_gone(pid))


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
