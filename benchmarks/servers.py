"""The servers under test: how each is started, and what can be asked of one that runs."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import grpc

from benchmarks import processes
from benchmarks.payload import Payload, infer

if TYPE_CHECKING:
    from collections.abc import Callable

_START_SECONDS = 60.0
_STOP_SECONDS = 8.0
_POLL_SECONDS = 0.01
_OPTIONS = (("grpc.enable_http_proxy", 0),)


class StartError(Exception):
    """A server did not come up; the message has the end of what it wrote."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How one server is run. uds: the socket it listens at besides TCP, where it does."""

    command: list[str]
    environ: dict[str, str] = field(default_factory=dict)
    uds: Path | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """A kind of server.

    name: its key in results. label: how pages call it. launch: given a scratch folder, the graph and a TCP
    port that is free, tells how to run it. also_blocks: it takes one tensor of all fields too.
    """

    name: str
    label: str
    launch: Callable[[Path, int], Launch]
    also_blocks: bool = False


class Running:
    """A started server that answers; ends with everything it started when the context does.

    cores: where it may run; anywhere when None. start_seconds: from the start until the first answer.
    folder: its scratch folder, which goes with it.
    """

    def __init__(self, server: Server, cores: set[int] | None = None) -> None:
        self.server = server
        self._scratch = tempfile.TemporaryDirectory(prefix="bench-")
        self.folder = folder = Path(self._scratch.name)
        self.port = _free_port()
        launch = server.launch(folder, self.port)
        self.uds = launch.uds
        self.log = folder / "log"
        start = time.perf_counter()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own commands
                launch.command,
                env=_environ() | launch.environ,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if cores is not None:
            processes.set_affinity(self.process.pid, cores)
        try:
            self._wait_ready(infer(1))
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.perf_counter() - start

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    def call(self, payload: Payload, seconds: float = 10.0) -> bytes:
        """Make one call and give the reply's message. Raises grpc.RpcError for any status but OK."""
        with grpc.insecure_channel(self.address, options=_OPTIONS) as channel:
            reply: bytes = channel.unary_unary(payload.method)(  # type: ignore[call-arg]
                payload.message, timeout=seconds
            )
            return reply

    def cpu_seconds(self) -> float:
        """CPU time of all its processes so far."""
        return processes.cpu_seconds(self.process.pid)

    def rss_bytes(self) -> int:
        """Resident memory of all its processes now."""
        return processes.rss_bytes(self.process.pid)

    def own_rss_bytes(self) -> int:
        """Resident memory of the process that answers, without those that it started."""
        return processes.own_rss_bytes(self.process.pid)

    def stop(self) -> None:
        """Ask it to end, then make it."""
        group = self.process.pid
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        self.process.wait()
        self._scratch.cleanup()

    def _wait_ready(self, payload: Payload) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise StartError(f"{self.server.name} ended: {self._said()}")
            if _listens(self.port):
                with contextlib.suppress(grpc.RpcError):
                    self.call(payload, 2.0)
                    return
            time.sleep(_POLL_SECONDS)
        raise StartError(f"{self.server.name} gives no answer after {_START_SECONDS:g} s: {self._said()}")

    def _said(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]


def _environ() -> dict[str, str]:
    """This process's, without settings for a sidecar that somebody left in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SIDECAR_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
