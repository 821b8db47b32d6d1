"""The serving process: every part, started in order, and drained in the opposite one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sidecar.admin import AdminService, start_admin
from sidecar.canary_guard import CanaryGuard
from sidecar.drift.service import watch_drift
from sidecar.engine.choice import choose_engine
from sidecar.errors import ConfigError, UnavailableError
from sidecar.findings import FindingStore
from sidecar.metrics import MetricsServer, SidecarCollector
from sidecar.recorder import Recorder
from sidecar.registry import Registry
from sidecar.sealer import Sealer
from sidecar.shadow.supervisor import ShadowSupervisor
from sidecar.store.log import LogStore
from sidecar.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from sidecar.config import Config
    from sidecar.engine.contract import Endpoints

_ADMIN_GRACE_SECONDS = 0.5
_ONE_SIGNAL_SECONDS = 0.5
"""A signal that is repeated within this time is the same one: a terminal or `timeout` sends it to the group,
and a wrapper passes it on."""
_HOME_MODE = 0o750  # the application's group reaches the socket; nobody else reads what customers sent

_log = logging.getLogger(__name__)


def run(config: Config, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second one, half a second later, ends the process at once.

    announce is told, a line at a time, where the process listens, and last "ready".
    Raises ConfigError or ConflictError when the configuration or the home cannot be used.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(config, announce))


async def serve(config: Config, announce: Callable[[str], None]) -> None:
    """What `run` does, on the running event loop."""
    started_ns = time.time_ns()
    stop = _stop_signal()
    async with AsyncExitStack() as parts:
        with _usable(config.home):
            config.home.mkdir(mode=_HOME_MODE, parents=True, exist_ok=True)
            store = LogStore(config.log_path)  # locks the home: two processes must not share it
            parts.callback(store.close)
            registry = parts.enter_context(Registry(config.registry_path))
            registry.create()
            ledger = store.new_ledger()
            parts.callback(ledger.close)
        engine, why = choose_engine(config)
        drift = watch_drift(config, registry, engine)
        parts.callback(drift.close)
        endpoints = await engine.start(config.home, config.listeners, config.limits, ledger)
        try:
            store.open_run(ledger)
        except UnavailableError:
            await engine.stop(0)  # otherwise stopped below, before the recorder
            raise
        if store.lost_before:
            _log.warning("earlier processes were killed and lost %d answered rows", store.lost_before)
        shadows = ShadowSupervisor(engine.name, config.shadow)
        recorder = Recorder(engine, store, shadows, ledger, config.recorder, profiles=drift.profiles)
        drift.start()
        parts.push_async_callback(asyncio.to_thread, drift.stop)
        recorder.start()
        parts.push_async_callback(asyncio.to_thread, recorder.stop, config.limits.grace_seconds)
        parts.push_async_callback(engine.stop, config.limits.grace_seconds)
        sealer = Sealer(config)
        _start(parts, sealer.run(), "sealer")
        watcher = Watcher(registry, engine, shadows, sidecar=f"{socket.gethostname()}:{os.getpid()}")
        await watcher.look()
        _start(parts, watcher.run(), "watcher")
        _start(parts, CanaryGuard(engine, registry, config.shadow.canary_failures).run(), "canary guard")
        service = AdminService(
            registry,
            watcher,
            engine,
            shadows,
            recorder,
            sealer=sealer,
            engine_reason=why,
            started_ns=started_ns,
        )
        admin, target = await start_admin(service, config.home, config.listeners.admin)
        parts.push_async_callback(admin.stop, _ADMIN_GRACE_SECONDS)
        metrics = []
        if config.metrics.listen:
            collector = SidecarCollector(
                engine, recorder, shadows, drift.last_look, lambda: FindingStore(config.findings_path)
            )
            server = MetricsServer(config.metrics.listen, collector)
            parts.push_async_callback(asyncio.to_thread, server.stop)
            metrics = [f"metrics     {server.address}"]
        _log.info("serving with the %s engine (%s)", engine.name, why)
        for line in (*_listeners(endpoints), f"admin       {target}", *metrics, "ready"):
            announce(line)
        await stop.wait()
        _log.info("draining: calls in progress have %g s", config.limits.grace_seconds)
    _log.info("stopped")


@contextlib.contextmanager
def _usable(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"home {home} cannot be used: {error.strerror}; name another folder") from error


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not everywhere
    except ImportError:
        return None
    return uvloop.new_event_loop


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    first = 0.0

    def received(number: int) -> None:
        nonlocal first
        if not stop.is_set():
            first = time.monotonic()
            stop.set()
        elif time.monotonic() - first > _ONE_SIGNAL_SECONDS:
            os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, received, number)
    return stop


def _start(parts: AsyncExitStack, work: Coroutine[Any, Any, None], name: str) -> None:
    parts.push_async_callback(_cancel, asyncio.create_task(work, name=name))


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _listeners(endpoints: Endpoints) -> list[str]:
    lines = []
    if endpoints.uds:
        lines.append(f"predictions unix:{quote(endpoints.uds)}")
    if endpoints.tcp:
        lines.append(f"predictions {endpoints.tcp}")
    return lines
