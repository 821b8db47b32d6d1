"""The admin service: the lifecycle by hand, and how things are. It has a listener of its own."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from grpc_reflection.v1alpha import reflection

from sidecar import admin_messages
from sidecar.admission import register_and_admit
from sidecar.bundle import open_bundle
from sidecar.config import address
from sidecar.errors import (
    ConflictError,
    InvalidRequestError,
    NoChampionError,
    SidecarError,
    detail_of,
    status_of,
)
from sidecar.listen import listen_tcp, listen_uds
from sidecar.succession import start_shadow
from sidecar.v1 import admin_pb2, admin_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sidecar.engine.contract import Engine
    from sidecar.lifecycle import Version
    from sidecar.recorder import Recorder
    from sidecar.registry import Registry
    from sidecar.sealer import Sealer
    from sidecar.shadow.supervisor import ShadowSupervisor
    from sidecar.watcher import Watcher

    Context = grpc.aio.ServicerContext[Any, Any]

_log = logging.getLogger(__name__)

DEPLOY_SECONDS = 60.0
"""A change that is not in force after this time is answered with UNAVAILABLE; it stays registered."""
_SERVICE = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name
_SOCKET_MODE = 0o600  # whoever can call this can change what serves
_KEY = "[listeners] admin"


class AdminService(admin_pb2_grpc.AdminServiceServicer):
    """Answers the admin API from the registry and the parts that run."""

    def __init__(
        self,
        registry: Registry,
        watcher: Watcher,
        engine: Engine,
        shadows: ShadowSupervisor,
        recorder: Recorder,
        *,
        sealer: Sealer,
        engine_reason: str,
        started_ns: int,
    ) -> None:
        self._registry = registry
        self._watcher = watcher
        self._engine = engine
        self._shadows = shadows
        self._recorder = recorder
        self._sealer = sealer
        self._engine_reason = engine_reason
        self._started_ns = started_ns

    async def RegisterModel(  # noqa: N802 - the names here are the API's
        self, request: admin_pb2.RegisterModelRequest, context: Context
    ) -> admin_pb2.RegisterModelResponse:
        """Check a bundle in a child process; admitted or refused."""
        async with _errors_as_status(context):
            reason = admin_messages.reason(request.reason)
            path = _folder(request.path)
            version, finding = await asyncio.to_thread(register_and_admit, self._registry, path, reason)
            return admin_pb2.RegisterModelResponse(model=admin_messages.version(version), finding=finding)

    async def StartShadow(  # noqa: N802
        self, request: admin_pb2.StartShadowRequest, context: Context
    ) -> admin_pb2.StartShadowResponse:
        """Have a candidate score live traffic, in the place of earlier fits of its recipe."""
        async with _errors_as_status(context):
            reason = admin_messages.reason(request.reason)
            await asyncio.to_thread(start_shadow, self._registry, request.digest, reason)
            generation = await asyncio.to_thread(self._registry.generation)
            return admin_pb2.StartShadowResponse(deployment=await self._live(generation))

    async def Promote(  # noqa: N802
        self, request: admin_pb2.PromoteRequest, context: Context
    ) -> admin_pb2.PromoteResponse:
        """Make a version the champion."""
        async with _errors_as_status(context):
            reason = admin_messages.reason(request.reason)
            version = await asyncio.to_thread(self._registry.find, request.digest)
            self._refuse_quarantined(version)
            await asyncio.to_thread(open_bundle, version.path)  # a champion that is gone serves nobody
            decided = await asyncio.to_thread(self._registry.promote, version.model.digest, reason)
            return admin_pb2.PromoteResponse(deployment=await self._live(decided.generation))

    async def RollBack(  # noqa: N802
        self, request: admin_pb2.RollBackRequest, context: Context
    ) -> admin_pb2.RollBackResponse:
        """Return to the previous champion."""
        async with _errors_as_status(context):
            reason = admin_messages.reason(request.reason)
            decided = await asyncio.to_thread(self._registry.roll_back, reason)
            return admin_pb2.RollBackResponse(deployment=await self._live(decided.generation))

    async def DescribeModel(  # noqa: N802
        self, request: admin_pb2.DescribeModelRequest, context: Context
    ) -> admin_pb2.DescribeModelResponse:
        """Tell everything about one version."""
        async with _errors_as_status(context):
            version = await asyncio.to_thread(self._find_or_champion, request.digest)
            bundle = await asyncio.to_thread(open_bundle, version.path)
            trail = await asyncio.to_thread(self._registry.transitions, version.model.digest)
            return admin_pb2.DescribeModelResponse(
                model=admin_messages.version(version),
                fields=admin_messages.fields(bundle.signature),
                transitions=map(admin_messages.transition, trail),
            )

    async def ListModels(  # noqa: N802
        self, _: admin_pb2.ListModelsRequest, context: Context
    ) -> admin_pb2.ListModelsResponse:
        """List all versions, newest first."""
        async with _errors_as_status(context):
            versions = await asyncio.to_thread(self._registry.versions)
            return admin_pb2.ListModelsResponse(models=map(admin_messages.version, versions))

    async def WatchDeployment(  # noqa: N802
        self, _: admin_pb2.WatchDeploymentRequest, context: Context
    ) -> AsyncIterator[admin_pb2.WatchDeploymentResponse]:
        """Send the deployment in force, then each one that replaces it."""
        async with _errors_as_status(context):
            async for deployment in self._watcher.deployments():
                yield admin_pb2.WatchDeploymentResponse(deployment=admin_messages.deployment(deployment))

    async def GetStatus(  # noqa: N802
        self, _: admin_pb2.GetStatusRequest, context: Context
    ) -> admin_pb2.GetStatusResponse:
        """Tell what runs, and what became of the rows."""
        async with _errors_as_status(context):
            engine, recorder = self._engine.stats(), self._recorder.stats()
            return admin_pb2.GetStatusResponse(
                engine=self._engine.name,
                engine_reason=self._engine_reason,
                started_time=admin_messages.time_of(self._started_ns),
                deployment=admin_messages.deployment(self._engine.deployment),
                served=engine.served,
                errors=engine.errors,
                dropped=engine.dropped,
                written=recorder.written,
                sampled_out=recorder.sampled_out,
                waiting=recorder.waiting,
                failed=recorder.failed,
                queued=engine.queued,
                canary=admin_messages.canary_counts(engine.canary),
                stages=map(admin_messages.stage_times, engine.stages, engine.stages.values()),
                outcomes=recorder.outcomes,
                lost_before=recorder.lost_before,
                scores_failed=recorder.scores_failed,
                shadows=map(admin_messages.shadow_status, self._shadows.status()),
                deploy_error=self._watcher.error,
                sealing=self._sealer.state,
            )

    async def _live(self, generation: int) -> admin_pb2.Deployment:
        return admin_messages.deployment(await self._watcher.live(generation, DEPLOY_SECONDS))

    def _find_or_champion(self, digest: str) -> Version:
        if digest:
            return self._registry.find(digest)
        champion = self._registry.champion()
        if champion is None:
            raise NoChampionError("there is no champion; promote one, or name a version by its digest")
        return champion

    def _refuse_quarantined(self, version: Version) -> None:
        for status in self._shadows.status():
            if status.model == version.model and status.state == "quarantined":
                raise ConflictError(f"{version.model} is quarantined: it crashed too often as a shadow")


def _folder(path: str) -> Path:
    if not path.startswith("/"):
        raise InvalidRequestError(f"path is {path!r}; send the absolute path of a bundle's folder")
    return Path(path)


async def start_admin(service: AdminService, home: Path, listener: str) -> tuple[grpc.aio.Server, str]:
    """Serve the admin API on `listener`; the server, and the gRPC target it can be reached at.

    Raises ConfigError when it cannot listen there.
    """
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    admin_pb2_grpc.add_AdminServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    reflection.enable_server_reflection([_SERVICE, reflection.SERVICE_NAME], server)
    target = address(home, listener)
    if target.startswith("unix:"):
        listen_uds(server, _KEY, (home / listener).absolute(), _SOCKET_MODE)
    else:
        target = listen_tcp(server, _KEY, listener)
    await server.start()
    return server, target


@asynccontextmanager
async def _errors_as_status(context: Context) -> AsyncIterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - this is the place where errors become status
        if not isinstance(error, SidecarError):
            _log.error("a call of the admin API failed unexpectedly", exc_info=error)
        await context.abort(status_of(error), detail_of(error))
