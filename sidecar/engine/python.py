"""The Python engine: the request path on grpc.aio. The readable reference that other engines are held to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from sidecar.domain import NOTHING_DEPLOYED
from sidecar.engine.champion import Champion
from sidecar.engine.contract import Endpoints, EngineStats
from sidecar.engine.edge import Edge
from sidecar.engine.health import Health
from sidecar.engine.open_inference_service import OpenInferenceService
from sidecar.engine.outcome_desk import OutcomeDesk
from sidecar.engine.prediction_service import PredictionService
from sidecar.engine.request_id import RequestIds
from sidecar.engine.ring import Ring
from sidecar.errors import ConfigError, UnavailableError
from sidecar.listen import listen_tcp, listen_uds
from sidecar.oip import open_inference_pb2, open_inference_pb2_grpc
from sidecar.v1 import prediction_pb2, prediction_pb2_grpc

if TYPE_CHECKING:
    from pathlib import Path

    from sidecar.config import Limits, Listeners
    from sidecar.domain import Deployment, OutcomeReceipt
    from sidecar.engine.contract import Drained
    from sidecar.errors import SidecarError
    from sidecar.ledger import Ledger

_SERVICES = (
    prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"].full_name,
    open_inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name,
)
_SOCKET_MODE = 0o660  # the application's group may call
_REFUSE_OUTCOMES_AFTER = 0.9
"""The part of the grace after which outcomes still waiting are refused, so that the refusal can travel."""


@dataclass(frozen=True, slots=True)
class _Started:
    """What exists from `start` on. The ring outlives the server."""

    server: grpc.aio.Server
    edge: Edge
    health: Health
    champion: Champion
    ring: Ring
    desk: OutcomeDesk


class PythonEngine:
    """Implements `sidecar.engine.contract.Engine` on the running asyncio event loop."""

    name = "python"

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
            health=Health(_SERVICES),
            champion=Champion(),
            ring=ring,
            desk=OutcomeDesk(ring),
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
            errors=dict(parts.edge.errors),
        )

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls and let the present ones finish; see `Engine.stop`."""
        parts = self._started
        parts.health.leave()
        refusal = asyncio.get_running_loop().call_later(
            grace_seconds * _REFUSE_OUTCOMES_AFTER,
            parts.desk.refuse_all,
            UnavailableError("the sidecar is stopping and may not have stored the outcomes; send them again"),
        )
        await parts.server.stop(await parts.edge.leave(grace_seconds))
        refusal.cancel()

    @property
    def _started(self) -> _Started:
        if self._parts is None:
            raise RuntimeError("the engine is not started; await start() first")
        return self._parts


def _listen(server: grpc.aio.Server, home: Path, listeners: Listeners) -> Endpoints:
    if not listeners.uds and not listeners.tcp:
        raise ConfigError("[listeners] uds and tcp are both empty; set at least one")
    uds = ""
    if listeners.uds:
        path = (home / listeners.uds).absolute()
        listen_uds(server, "[listeners] uds", path, _SOCKET_MODE)
        uds = str(path)
    tcp = listen_tcp(server, "[listeners] tcp", listeners.tcp) if listeners.tcp else ""
    return Endpoints(uds=uds, tcp=tcp)


async def _serve(parts: _Started, limits: Limits) -> None:
    ids = RequestIds()
    prediction_pb2_grpc.add_PredictionServiceServicer_to_server(  # type: ignore[no-untyped-call]  # generated
        PredictionService(parts.champion, parts.ring, ids, parts.desk), parts.edge
    )
    open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(  # type: ignore[no-untyped-call]
        OpenInferenceService(parts.champion, parts.ring, ids, limits.max_rows), parts.edge
    )
    health_pb2_grpc.add_HealthServicer_to_server(parts.health, parts.server)
    reflection.enable_server_reflection(
        [*_SERVICES, "grpc.health.v1.Health", reflection.SERVICE_NAME], parts.server
    )
    parts.server.add_generic_rpc_handlers((parts.edge,))
    await parts.server.start()
