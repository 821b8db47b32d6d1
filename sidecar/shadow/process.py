"""One worker process, as its candidate's thread sees it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sidecar.codec import pack_work
from sidecar.domain import Failure
from sidecar.shadow.progress import Work
from sidecar.shadow.protocol import Loaded, Orders, receive_frame, send_frame
from sidecar.shadow.results import Results

if TYPE_CHECKING:
    from pathlib import Path

    from sidecar.config import Shadow
    from sidecar.shadow.chunk import Chunk

_EXIT_SECONDS = 1.0
_LOOKS = 4
"""How often a worker is looked after in the time that one inference call may take."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The worker is dead. failure: what that means for the inference call in hand; NONE when it had none."""

    failure: Failure
    detail: str


class WorkerProcess:
    """A started worker. Used by the thread that made it, except for `kill`.

    That thread must outlive the worker: the kernel kills a worker when the thread that started it ends.
    Raises OSError when no process can be started.
    """

    def __init__(self, bundle: Path, engine: str, settings: Shadow) -> None:
        self._settings = settings
        self.results = Results.create(settings.chunk_rows)
        self._connection, theirs = socket.socketpair()
        orders = Orders(
            socket=theirs.fileno(),
            results=self.results.fd,
            rows=settings.chunk_rows,
            engine=engine,
            bundle=str(bundle),
            memory_mb=settings.memory_mb,
            nice=settings.nice,
            idle=settings.scheduling == "idle",
            parent=os.getpid(),
        )
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-P", "-m", "sidecar.shadow.worker", orders.to_json()],
                pass_fds=(orders.socket, orders.results),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # Thread pools of numerical libraries would take address space and are not used.
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                # So that signals to the server's group stay there. Not a session: Linux first shares the
                # processor out between sessions, and niceness counts only within one.
                process_group=0,
            )
        except OSError:
            self._connection.close()
            self.results.close()
            raise
        finally:
            theirs.close()

    def wait_loaded(self) -> Loaded | Ended:
        """Wait until the candidate is loaded; when that takes too long or fails, the worker is ended."""
        self._connection.settimeout(self._settings.load_seconds)
        try:
            loaded = Loaded.from_json(receive_frame(self._connection))
        except TimeoutError:
            return self._kill_stalled(f"not loaded after {self._settings.load_seconds:g} s", Failure.NONE)
        except (EOFError, OSError):
            return self._bury(Failure.NONE, "while it loaded")
        if loaded.error:
            self.kill()
            return Ended(Failure.NONE, loaded.error)
        return loaded

    def score(self, chunk: Chunk) -> Ended | None:
        """Have the worker score a chunk. Its first `results.done` rows are complete then, also after a crash.

        Each inference call may take `stall_seconds`, not counting the time that the worker waits for a core.
        """
        stall_seconds = self._settings.stall_seconds
        self.results.reserve(len(chunk))
        self.results.clear()
        # It has nothing to do but to take them, so that it does not is a matter of waiting for a core.
        self._connection.settimeout(self._settings.load_seconds)
        try:
            send_frame(self._connection, pack_work(chunk.blocks, chunk.group))
        except TimeoutError:
            return self._kill_stalled(f"took no rows for {self._settings.load_seconds:g} s", Failure.NONE)
        except OSError:
            return self._bury(Failure.NONE, "while it was idle")
        self._connection.settimeout(stall_seconds / _LOOKS)
        begun = Work.of(self._process.pid, 0)
        while True:
            try:
                reply = self._connection.recv(1)
            except TimeoutError:
                now = Work.of(self._process.pid, self.results.done)
                if now.done != begun.done:
                    begun = now
                elif now.stalled_since(begun, stall_seconds):
                    ended = self._kill_stalled(
                        f"over {stall_seconds:g} s in one inference call", Failure.TIMED_OUT
                    )
                    # It may have finished the call just before it died; then the next call is not to blame.
                    finished = self.results.done != begun.done
                    return replace(ended, failure=Failure.NONE) if finished else ended
            except OSError:
                return self._bury(Failure.CRASHED, "while it worked on the row")
            else:
                return None if reply else self._bury(Failure.CRASHED, "while it worked on the row")

    def kill(self) -> None:
        """End the worker at once; called by any thread."""
        self._process.kill()

    def close(self) -> None:
        """End the worker if it lives, and free what it used."""
        self.kill()
        self._process.wait()
        self._connection.close()
        self.results.close()

    def _kill_stalled(self, detail: str, failure: Failure) -> Ended:
        self.kill()
        self._process.wait()
        return Ended(failure, f"killed: {detail}")

    def _bury(self, failure: Failure, when: str) -> Ended:
        try:
            code = self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            return self._kill_stalled(f"closed its socket {when}", failure)
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return Ended(failure, f"its process died of {how} {when}")
