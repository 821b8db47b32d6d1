"""What a server's processes cost, as the kernel counts it in /proc."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_AFTER_NAME = 2  # field 3 is the first after the name in brackets, which may hold anything
_USER, _SYSTEM = 14 - 1 - _AFTER_NAME, 15 - 1 - _AFTER_NAME


def family(pid: int) -> list[int]:
    """List the process and all that descend from it and live."""
    members = [pid]
    for member in members:
        for task in _entries(_PROC / str(member) / "task"):
            children = _read(task / "children")
            members.extend(int(child) for child in children.split())
    return members


def cpu_seconds(pid: int) -> float:
    """Add up user and system time of the family so far, also of members that have ended."""
    return sum(_ticks(_PROC / str(member) / "stat", waited_for=True) for member in family(pid)) / _TICKS


def cpu_seconds_by_thread(pid: int) -> dict[str, float]:
    """User and system time of one process's threads, added up by the threads' names; the first is "main"."""
    times: dict[str, float] = {}
    for task in _entries(_PROC / str(pid) / "task"):
        name = "main" if task.name == str(pid) else _read(task / "comm").strip()
        times[name] = times.get(name, 0.0) + _ticks(task / "stat", waited_for=False) / _TICKS
    return times


def unused_seconds() -> dict[str, float]:
    """Processor time of the whole machine so far that no thread is charged for: interrupts, and idling."""
    ticks = [int(field) for field in _read(_PROC / "stat").partition("\n")[0].split()[1:]]
    _, _, _, idle, waiting, hard, soft = ticks[:7]  # proc_stat(5)
    return {"interrupts": (hard + soft) / _TICKS, "idle": (idle + waiting) / _TICKS}


def rss_bytes(pid: int) -> int:
    """Add up the resident memory of the family; pages that members share count once for each."""
    return sum(map(own_rss_bytes, family(pid)))


def own_rss_bytes(pid: int) -> int:
    """Resident memory of one process alone; 0 when it has ended."""
    return sum(int(pages) for pages in _read(_PROC / str(pid) / "statm").split()[1:2]) * _PAGE_BYTES


def set_affinity(pid: int, cores: set[int]) -> None:
    """Move every thread of one process; those it starts later follow."""
    for task in _entries(_PROC / str(pid) / "task"):
        os.sched_setaffinity(int(task.name), cores)


def _ticks(stat: Path, *, waited_for: bool) -> int:
    fields = _read(stat).rpartition(")")[2].split()
    if not fields:
        return 0
    own = int(fields[_USER]) + int(fields[_SYSTEM])
    return own + int(fields[_USER + 2]) + int(fields[_SYSTEM + 2]) if waited_for else own


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # it has ended
        return []


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
