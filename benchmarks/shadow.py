"""What a shadowed candidate costs the replies: the native engine with one and without, in pairs.

The candidate's worker takes CPU time that somebody else could have had. The variants show whose: with other
priorities for the worker, and with the server alone on one core while load and worker share the other.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import h2load, machine, open_loop, processes
from benchmarks.answers import check_answers
from benchmarks.lineup import bundle, sidecar
from benchmarks.payload import infer
from benchmarks.row_fates import row_fates
from benchmarks.servers import Running, Server
from benchmarks.throughput import MAIN, measure_once
from sidecar.config import Shadow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.results import Plan

CANDIDATE = ("2",)
SHADOWED = "shadowed"
"""The condition that the claims are about."""
SERVER_CORE, OTHER_CORE = 0, 1
_SECONDS = 3.0
_WORKER = b"sidecar.shadow.worker"
_LOAD_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Condition:
    """One way to run.

    nice: the worker's, where it is not run as by default, in time that nobody else wants. base: the condition
    without a candidate to compare with.
    """

    name: str
    label: str
    candidates: tuple[str, ...] = ()
    nice: int | None = None
    pinned: bool = False
    base: str = ""

    @property
    def server(self) -> Server:
        """The sidecar of this condition."""
        environ = {}
        if self.nice is not None:
            environ = {"SIDECAR_SHADOW_SCHEDULING": "nice", "SIDECAR_SHADOW_NICE": str(self.nice)}
        return replace(sidecar("native", candidates=self.candidates, **environ), name=self.name)


CONDITIONS = (
    Condition("none", "no candidate"),
    Condition(SHADOWED, f"one candidate (default: {Shadow().scheduling})", CANDIDATE, base="none"),
    Condition("nice-19", "one candidate, nice 19", CANDIDATE, nice=19, base="none"),
    Condition("nice-0", "one candidate, nice 0", CANDIDATE, nice=0, base="none"),
    Condition("pinned-none", "server on a core of its own, no candidate", pinned=True),
    Condition(
        "pinned-shadowed",
        "server on a core of its own, one candidate on the load's core",
        CANDIDATE,
        pinned=True,
        base="pinned-none",
    ),
)


def measure(plan: Plan, only: Sequence[str] = ()) -> None:
    """Measure all conditions, or those named, and save "shadow"."""
    program = open_loop.build()
    context = machine.describe()
    conditions = [each for each in CONDITIONS if not only or each.name in only]
    measurements: list[dict[str, Any]] = []
    for number in range(plan.rounds):
        rate = _capacity(plan.seconds(_SECONDS)) / 2
        for condition in conditions if number % 2 == 0 else conditions[::-1]:
            print(f"round {number + 1}/{plan.rounds}: {condition.label}", flush=True)
            found = _measure_once(program, condition, rate, plan.seconds(_SECONDS))
            measurements.append({"round": number, "condition": condition.name, **found})
    plan.save(
        "shadow",
        {
            **context,
            "rounds": plan.rounds,
            "seconds": plan.seconds(_SECONDS),
            "labels": {each.name: each.label for each in conditions},
            "bases": {each.name: each.base for each in conditions},
            "measurements": measurements,
        },
    )


def _capacity(seconds: float) -> float:
    """Requests a second without a candidate, now: the machine is faster at some times than at others."""
    with Running(CONDITIONS[0].server) as running:
        return float(measure_once(running, infer(1), MAIN, seconds)["rate"])


def _measure_once(program: Path, condition: Condition, rate: float, seconds: float) -> dict[str, Any]:
    cores = {SERVER_CORE} if condition.pinned else None
    prefix = ("taskset", "-c", str(OTHER_CORE)) if condition.pinned else ()
    with Running(condition.server, cores) as running:
        check_answers(running)
        worker = _place_worker(running, condition) if condition.candidates else None
        folder, payload = running.folder, infer(1)
        fates, before = row_fates(running), _cpu(running, worker)
        closed = h2load.run(
            running.address,
            payload,
            folder,
            MAIN,
            seconds=seconds,
            reply_bytes=len(running.call(payload)),
            prefix=prefix,
        )
        after = _cpu(running, worker)
        closed_fates = row_fates(running)
        options = open_loop.at_rate(rate, seconds)
        opened = open_loop.run(program, running.address, payload, folder, *options, prefix=prefix)
        open_fates = row_fates(running)
        check_answers(running)
        if worker is not None and not Path(f"/proc/{worker}").exists():
            raise h2load.LoadError("the candidate's worker did not live to the end")
    took = seconds + h2load.WARM_UP_SECONDS
    return {
        "rate": closed.rate,
        "cores_used": {name: (after[name] - before.get(name, 0.0)) / took for name in after},
        "open_rate": rate,
        "achieved_rate": opened.achieved_rate,
        "latency_us": dict(opened.latency_us),
        "lateness_us": dict(opened.lateness_us or {}),
        "ends": dict(opened.ends),
        "closed_rows": closed_fates.since(fates) if closed_fates and fates else {},
        "open_rows": open_fates.since(closed_fates) if open_fates and closed_fates else {},
    }


def _cpu(running: Running, worker: int | None) -> dict[str, float]:
    """CPU seconds so far of the server's threads by name, the worker, ended load generators, and nobody."""
    found = processes.unused_seconds() | processes.cpu_seconds_by_thread(running.process.pid)
    if worker:
        found["shadow worker"] = processes.cpu_seconds(worker)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    found["load generator"] = ended.ru_utime + ended.ru_stime
    return found


def _place_worker(running: Running, condition: Condition) -> int:
    """Wait until the candidate's worker has loaded; give it the condition's cores."""
    deadline = time.monotonic() + _LOAD_SECONDS
    candidate = bundle(condition.candidates[0]).model.digest.encode()
    while time.monotonic() < deadline:
        for pid in processes.family(running.process.pid):
            command = _command_line(pid)
            if _WORKER in command and candidate in command and processes.rss_bytes(pid) > 0:
                time.sleep(2.0)  # it imports and loads; rows wait for it meanwhile
                if condition.pinned:
                    processes.set_affinity(pid, {OTHER_CORE})
                return pid
        time.sleep(0.05)
    raise h2load.LoadError("no worker for the candidate was started")


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
