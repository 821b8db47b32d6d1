"""The program of a worker process: load one candidate, then score chunks until the socket closes.

    python -m sidecar.shadow.worker '{"socket": 5, "results": 6, ...}'

Started by `sidecar.shadow.process`. It may be killed at any moment and leaves nothing behind.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from sidecar.codec import unpack_work
from sidecar.errors import SidecarError
from sidecar.shadow.chunk import call_ends
from sidecar.shadow.protocol import CHUNK_DONE, Loaded, Orders, receive_frame, send_frame
from sidecar.shadow.results import Results
from sidecar.shadow.scorer import open_scorer

_PR_SET_PDEATHSIG = 1


def main(orders: Orders) -> int:
    """Follow the orders; the exit code is 1 when the candidate cannot be loaded."""
    _restrict(orders)
    results = Results(orders.results, orders.rows)
    with socket.socket(fileno=orders.socket) as connection:
        try:
            scorer = open_scorer(orders.engine, Path(orders.bundle))
        except (SidecarError, MemoryError) as error:
            send_frame(connection, Loaded(error=str(error) or type(error).__name__).to_json())
            return 1
        if orders.idle:
            _step_back()
        send_frame(connection, Loaded(scorer.signature_digest).to_json())
        with suppress(EOFError):
            while True:
                blocks, group = unpack_work(receive_frame(connection))
                results.reserve(len(blocks))
                scorer.score(blocks, call_ends(group), results.columns)
                connection.sendall(CHUNK_DONE)
    return 0


def _restrict(orders: Orders) -> None:
    # The supervisor alone ends a worker: a signal to the whole group must not cut short what drains.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform == "linux":
        # Without this a worker inside a long inference call would outlive a killed sidecar.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
    if os.getppid() != orders.parent:
        sys.exit("the sidecar is gone")
    os.nice(orders.nice)
    memory = orders.memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _step_back() -> None:
    """From now on take only the processor time that nobody else wants; loading had to come to an end."""
    if hasattr(os, "SCHED_IDLE"):
        with suppress(OSError):  # forbidden here; niceness remains
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


if __name__ == "__main__":
    sys.exit(main(Orders.from_json(sys.argv[1])))
