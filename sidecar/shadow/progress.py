"""Whether a worker makes progress. Time in which it waits for a core is nobody's fault and does not count."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_RUNNABLE = "R"
_STATE, _USER, _SYSTEM = 0, 11, 12
"""Places in /proc/PID/stat, counted from behind the program's name (proc_pid_stat(5))."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker had done at one moment.

    done: rows of its chunk. at_seconds: on a monotonic clock. cpu_seconds: of its process. runnable: it runs,
    or waits for a core and for nothing else.
    """

    done: int
    at_seconds: float
    cpu_seconds: float
    runnable: bool

    @classmethod
    def of(cls, pid: int, done: int) -> Self:
        """Look now. Where the system does not tell of processor time, all time counts."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return cls(done, time.monotonic(), 0.0, runnable=False)
        ticks = int(stat[_USER]) + int(stat[_SYSTEM])
        cpu_seconds = ticks / os.sysconf("SC_CLK_TCK")
        return cls(done, time.monotonic(), cpu_seconds, runnable=stat[_STATE] == _RUNNABLE)

    def stalled_since(self, begun: Work, seconds: float) -> bool:
        """Whether it is still at what it was at then, and has had more than `seconds` for it."""
        if self.done != begun.done:
            return False
        if self.runnable:
            return self.cpu_seconds - begun.cpu_seconds > seconds
        return self.at_seconds - begun.at_seconds > seconds
