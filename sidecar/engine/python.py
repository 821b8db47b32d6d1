"""The Python engine: the request path on grpc.aio. The readable reference that other engines are held to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from sidecar.domain import NOTHING_DEPLOYED
from sidecar.engine.application_listeners import SOCKET_MODE, TCP_KEY, UDS_KEY, socket_path
from sidecar.engine.champion import Champion
from sidecar.engine.contract import OUTCOMES_REFUSED, REFUSE_OUTCOMES_AFTER, Endpoints, EngineStats
from sidecar.engine.edge import Edge
from sidecar.engine.health import Health
from sidecar.engine.open_inference_service import OpenInferenceService
from sidecar.engine.outcome_desk import OutcomeDesk
from sidecar.engine.prediction_service import PredictionService
from sidecar.engine.reflected import SERVICES
from sidecar.engine.request_id import RequestIds
from sidecar.engine.ring import Ring
from sidecar.engine.stages import Stages
from sidecar.errors import UnavailableError
from sidecar.listen import listen_tcp, listen_uds
from sidecar.oip import open_inference_pb2_grpc
from sidecar.v1 import prediction_pb2_grpc

if TYPE_CHECKING:
    from pathlib import Path

    from sidecar.config import Limits, Listeners
    from sidecar.domain import Deployment, OutcomeReceipt
    from sidecar.engine.contract import Drained
    from sidecar.errors import SidecarError
    from sidecar.ledger import Ledger


@dataclass(frozen=True, slots=True)
class _Started:
    """What exists from `start` on. The ring outlives the server."""

    server: grpc.aio.Server
    edge: Edge
    health: Health
    champion: Champion
    ring: Ring
    desk: OutcomeDesk
    stages: Stages


class PythonEngine:
    """Implements `sidecar.engine.contract.Engine` on the running asyncio event loop."""

    name = "python"
    needs_gil = True

    def __init__(self) -> None:
        self._parts: _Started | None = None

    def __repr__(self) -> str:
        return f"<PythonEngine {self._parts.champion if self._parts else 'not started'}>"

    async def start(self, home: Path, listeners: Listeners, limits: Limits, ledger: Ledger) -> Endpoints:
        """Listen; see `Engine.start`."""
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", limits.max_message_bytes),
                ("grpc.so_reuseport", 0),  # a second process on the same port must fail, not share it
            ]
        )
        endpoints = _listen(server, home, listeners)
        ring = Ring(limits.ring_rows, ledger)
        parts = _Started(
            server=server,
            edge=Edge(limits.max_in_flight),
            health=Health(SERVICES),
            champion=Champion(),
            ring=ring,
            desk=OutcomeDesk(ring, limits.max_in_flight),
            stages=Stages(),
        )
        await _serve(parts, limits)
        self._parts = parts
        return endpoints

    async def deploy(self, deployment: Deployment) -> None:
        """Load, warm, swap; see `Engine.deploy`."""
        parts = self._started
        await parts.champion.deploy(deployment)
        parts.health.say(serving=parts.champion.deployed)

    @property
    def deployment(self) -> Deployment:
        """The deployment in force."""
        return self._parts.champion.deployment if self._parts else NOTHING_DEPLOYED

    def drain(self, max_rows: int, wait_seconds: float) -> Drained:
        """Take what waits for the recorder; see `Engine.drain`."""
        return self._started.ring.drain(max_rows, wait_seconds)

    def settle(self, ticket: int, result: OutcomeReceipt | SidecarError) -> None:
        """Answer a RecordOutcome call; see `Engine.settle`."""
        self._started.desk.settle(ticket, result)

    def stats(self) -> EngineStats:
        """Counters now."""
        parts = self._started
        return EngineStats(
            served=parts.ring.offered,
            dropped=parts.ring.dropped,
            queued=parts.ring.queued,
            canary=parts.champion.canary_stats,
            errors=dict(parts.edge.errors),
            stages=parts.stages.times(),
        )

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls and let the present ones finish; see `Engine.stop`."""
        parts = self._started
        parts.health.leave()
        refusal = asyncio.get_running_loop().call_later(
            grace_seconds * REFUSE_OUTCOMES_AFTER,
            parts.desk.refuse_all,
            UnavailableError(OUTCOMES_REFUSED),
        )
        await parts.server.stop(await parts.edge.leave(grace_seconds))
        refusal.cancel()

    @property
    def _started(self) -> _Started:
        if self._parts is None:
            raise RuntimeError("the engine is not started; await start() first")
        return self._parts


def _listen(server: grpc.aio.Server, home: Path, listeners: Listeners) -> Endpoints:
    path = socket_path(home, listeners)
    if path:
        listen_uds(server, UDS_KEY, path, SOCKET_MODE)
    tcp = listen_tcp(server, TCP_KEY, listeners.tcp) if listeners.tcp else ""
    return Endpoints(uds=str(path or ""), tcp=tcp)


async def _serve(parts: _Started, limits: Limits) -> None:
    ids = RequestIds()
    prediction_pb2_grpc.add_PredictionServiceServicer_to_server(  # type: ignore[no-untyped-call]  # generated
        PredictionService(parts.champion, parts.ring, ids, parts.desk, parts.stages), parts.edge
    )
    open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(  # type: ignore[no-untyped-call]
        OpenInferenceService(parts.champion, parts.ring, ids, parts.stages, limits.max_rows), parts.edge
    )
    health_pb2_grpc.add_HealthServicer_to_server(parts.health, parts.server)
    reflection.enable_server_reflection(SERVICES, parts.server)
    parts.server.add_generic_rpc_handlers((parts.edge,))
    await parts.server.start()
