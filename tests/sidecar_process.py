"""A real `sidecar serve` in a process of its own, for tests."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import grpc

from sidecar.registry import ModelState, Reason, Registry
from sidecar.v1 import admin_pb2_grpc

WHY = Reason("tests", "to see")
SIDECAR = [sys.executable, "-c", "from sidecar.cli import main; main(prog_name='sidecar')"]


class SidecarProcess:
    """Started and ready; leaves nothing behind when the context ends. `err` collects its log lines."""

    def __init__(self, home: Path, **environ: str):
        self.home = home
        self.environ = {**os.environ, "SIDECAR_HOME": str(home), **environ}
        self.process = subprocess.Popen(
            [*SIDECAR, "serve"],
            env=self.environ,
            cwd=home.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.err: list[str] = []
        self._listen = threading.Thread(target=self._collect)
        self._listen.start()
        self.lines: list[str] = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if self.lines[-1] == "ready":
                return
        self.end()
        raise AssertionError(f"not ready: {self.lines} {self.err}")

    def _collect(self):
        for line in self.process.stderr:
            self.err.append(line.rstrip("\n"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    @property
    def target(self) -> str:
        return next(line.split()[1] for line in self.lines if line.startswith("predictions"))

    @property
    def admin_target(self) -> str:
        return next(line.split()[1] for line in self.lines if line.startswith("admin"))

    @contextmanager
    def admin(self):
        with grpc.insecure_channel(self.admin_target) as channel:
            yield admin_pb2_grpc.AdminServiceStub(channel)

    def stop(self) -> int:
        """SIGTERM, and the exit code after the drain."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.end()
        return code

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._listen.join()
        self.process.stdout.close()
        self.process.stderr.close()


def run_cli(*arguments: str, home: Path, stdin: str | None = None, **environ: str):
    """One command in a process of its own, as a person runs it."""
    return subprocess.run(
        [*SIDECAR, *arguments],
        env={**os.environ, "SIDECAR_HOME": str(home), "COLUMNS": "120", **environ},
        cwd=home.parent,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def admit_without_check(home: Path, *bundles) -> None:
    """Register bundles as admitted, for tests of what comes after."""
    with Registry(home / "registry.db") as registry:
        for bundle in bundles:
            registry.register(bundle, WHY)
            registry.move(
                bundle.model.digest, expected=ModelState.REGISTERED, to=ModelState.ADMITTED, reason=WHY
            )


def promote(home: Path, bundle) -> int:
    with Registry(home / "registry.db") as registry:
        return registry.promote(bundle.model.digest, WHY).generation


def wait_for_activation(home: Path, generation: int, seconds: float = 60):
    """What the sidecar says about the generation, once it does."""
    with Registry(home / "registry.db") as registry:
        return wait_until(lambda: registry.activation(generation), seconds)


def wait_until(ask, seconds: float = 60):
    """The first true answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.02)
    raise AssertionError("waited in vain")
