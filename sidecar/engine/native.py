"""The native engine: the request path of `sidecar_dataplane`, with no Python between socket and reply."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from sidecar_dataplane import Dataplane, Runtime

from sidecar import __version__
from sidecar.bundle import open_bundle
from sidecar.canary import check_draw, check_fields
from sidecar.domain import NOTHING_DEPLOYED, Outcome, OutcomeReceipt
from sidecar.engine.application_listeners import SOCKET_MODE, TCP_KEY, UDS_KEY, socket_path
from sidecar.engine.contract import (
    OUTCOMES_REFUSED,
    REFUSE_OUTCOMES_AFTER,
    REFUSE_SECONDS,
    CanaryStats,
    Drained,
    Endpoints,
    EngineStats,
    PendingOutcomes,
)
from sidecar.engine.cores import usable_cores
from sidecar.engine.drained_columns import served_batch
from sidecar.engine.histogram import stage_times
from sidecar.engine.native_model import load_model
from sidecar.engine.reflected import FILES, SERVICES, reflected_files
from sidecar.errors import BundleError, ConfigError, detail_of, status_of
from sidecar.listen import open_tcp, open_uds
from sidecar.signature import Kind

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from sidecar_dataplane import Loaded

    from sidecar.config import Limits, Listeners, Native
    from sidecar.domain import BundleRef, Deployment, ModelId
    from sidecar.errors import SidecarError
    from sidecar.ledger import Ledger

_POLL_SECONDS = 0.01


@dataclass(slots=True)
class _Started:
    """What exists from `start` on. The ring inside the data plane outlives its listeners."""

    runtime: Runtime
    dataplane: Dataplane
    uds: Path | None
    deployment: Deployment = NOTHING_DEPLOYED
    deploying: asyncio.Lock = field(default_factory=asyncio.Lock)
    models: dict[str, ModelId] = field(default_factory=dict)  # that were drained, by digest
    stopping: asyncio.Task[None] | None = None


class NativeEngine:
    """Implements `sidecar.engine.contract.Engine`: starts, deploys, drains and settles for the data plane.

    onnxruntime: the library that `sidecar.engine.choice.find_native` found.
    """

    name = "native"
    needs_gil = False

    def __init__(self, onnxruntime: Path, settings: Native) -> None:
        self._onnxruntime = onnxruntime
        self._settings = settings
        self._parts: _Started | None = None

    def __repr__(self) -> str:
        if self._parts is None:
            return "<NativeEngine not started>"
        champion = self._parts.deployment.champion
        return f"<NativeEngine {champion.model if champion else None}>"

    async def start(self, home: Path, listeners: Listeners, limits: Limits, ledger: Ledger) -> Endpoints:
        """Listen; see `Engine.start`."""
        uds = socket_path(home, listeners)
        sockets, endpoints = _listen(uds, listeners.tcp)
        try:
            parts = await asyncio.to_thread(self._open, limits, ledger, uds)
            parts.dataplane.start([each.detach() for each in sockets])
        except OSError as error:
            _close(sockets, uds)
            raise ConfigError(f'the native engine cannot start: {error}; engine = "python" can') from error
        self._parts = parts
        return endpoints

    def _open(self, limits: Limits, ledger: Ledger, uds: Path | None) -> _Started:
        runtime = Runtime(str(self._onnxruntime))
        dataplane = Dataplane(
            ledger=str(ledger.path),
            version=__version__,
            event_loops=self._settings.event_loops or max(1, usable_cores() // 2),
            max_in_flight=limits.max_in_flight,
            max_message_bytes=limits.max_message_bytes,
            max_rows=limits.max_rows,
            ring_rows=limits.ring_rows,
            hand_off_us=self._settings.hand_off_us,
            batch_rows=self._settings.batch_rows,
            services=list(SERVICES),
            files=reflected_files(FILES),
        )
        return _Started(runtime, dataplane, uds)

    async def deploy(self, deployment: Deployment) -> None:
        """Load, warm, swap; see `Engine.deploy`."""
        parts = self._started
        async with parts.deploying:
            await asyncio.to_thread(_deploy, parts, deployment)  # which may end former sessions
            parts.deployment = deployment

    @property
    def deployment(self) -> Deployment:
        """The deployment in force."""
        return self._parts.deployment if self._parts else NOTHING_DEPLOYED

    def drain(self, max_rows: int, wait_seconds: float) -> Drained:
        """Take what waits for the recorder; see `Engine.drain`."""
        parts = self._started
        served, calls = parts.dataplane.drain(max_rows, wait_seconds)
        return Drained(
            served=[served_batch(columns, parts.models) for columns in served],
            outcomes=[
                PendingOutcomes(ticket, [Outcome(*outcome) for outcome in outcomes])
                for ticket, outcomes in calls
            ],
        )

    def settle(self, ticket: int, result: OutcomeReceipt | SidecarError) -> None:
        """Answer a RecordOutcome call; see `Engine.settle`."""
        dataplane = self._started.dataplane
        if isinstance(result, OutcomeReceipt):
            dataplane.settle(ticket, result.stored, result.duplicates, list(result.conflicts))
        else:
            dataplane.refuse(ticket, status_of(result).value[0], detail_of(result))

    def stats(self) -> EngineStats:
        """Counters now."""
        served, dropped, queued, canary, errors, stages = self._started.dataplane.stats()
        return EngineStats(
            served=served,
            dropped=dropped,
            queued=queued,
            canary=CanaryStats(*canary) if canary else None,
            errors=errors,
            stages={stage: stage_times(np.frombuffer(counts, np.int64)) for stage, counts in stages.items()},
        )

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls and let the present ones finish; see `Engine.stop`."""
        parts = self._started
        if parts.stopping is None:
            parts.stopping = asyncio.create_task(self._stop(parts, grace_seconds), name="stop")
        await asyncio.shield(parts.stopping)  # who waits may be cancelled; what has begun must end

    async def _stop(self, parts: _Started, grace_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + grace_seconds
        parts.dataplane.leave()
        refusal = loop.call_later(
            grace_seconds * REFUSE_OUTCOMES_AFTER, parts.dataplane.refuse_outcomes, OUTCOMES_REFUSED
        )
        await asyncio.sleep(min(REFUSE_SECONDS, grace_seconds))
        while parts.dataplane.in_flight() and loop.time() < end:  # noqa: ASYNC110 - other threads count
            await asyncio.sleep(min(_POLL_SECONDS, end - loop.time()))
        if parts.uds is not None:
            parts.uds.unlink(missing_ok=True)
        await asyncio.to_thread(parts.dataplane.stop, max(0.0, end - loop.time()))
        refusal.cancel()

    @property
    def _started(self) -> _Started:
        if self._parts is None:
            raise RuntimeError("the engine is not started; await start() first")
        return self._parts


def _listen(uds: Path | None, tcp: str) -> tuple[list[socket.socket], Endpoints]:
    sockets = [open_uds(UDS_KEY, uds, SOCKET_MODE)] if uds else []
    try:
        opened, bound = open_tcp(TCP_KEY, tcp) if tcp else ([], "")
    except ConfigError:
        _close(sockets, uds)
        raise
    return sockets + opened, Endpoints(uds=str(uds or ""), tcp=bound)


def _close(sockets: list[socket.socket], uds: Path | None = None) -> None:
    for each in sockets:
        each.close()
    if uds:
        uds.unlink(missing_ok=True)


def _deploy(parts: _Started, deployment: Deployment) -> None:
    champion, canary = deployment.champion, deployment.canary
    if champion is None:
        parts.dataplane.deploy(None)
        return
    loaded = _load(parts, champion)
    if canary is None:
        parts.dataplane.deploy(loaded)
        return
    other = _load(parts, canary.ref)
    check_fields((canary.ref.model, other.signature_digest), (champion.model, loaded.signature_digest))
    found = loaded.column(canary.by) if canary.by else None
    draw = check_draw(canary, (Kind(found[0]), found[1]) if found else None)
    parts.dataplane.deploy(loaded, (other, draw.share, (draw.by[0].value, draw.by[1]) if draw.by else None))


def _load(parts: _Started, ref: BundleRef) -> Loaded:
    loaded = parts.dataplane.loaded(ref.model.digest)
    if loaded is not None:
        return loaded
    bundle = open_bundle(ref.path)
    loaded = load_model(parts.runtime, bundle)
    if bundle.model != ref.model:
        raise BundleError(f"{ref.path.name[:12]} holds {bundle.model}, not {ref.model}")
    return loaded
