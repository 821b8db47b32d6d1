"""grpc.health.v1: whether a champion is deployed."""
# ruff: noqa: N802 - the method names are the protocol's

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_Response = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # the package has no types
    """Answers for the server as a whole ("") and for each of `services`, all alike.

    Not the package's own servicer: its watches last for ever, so one of them would hold up every drain.
    """

    def __init__(self, services: tuple[str, ...]) -> None:
        self._services = frozenset(("", *services))
        self._serving = False
        self._left = False
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Health {'SERVING' if self._serving else 'NOT_SERVING'}>"

    def say(self, *, serving: bool) -> None:
        """Tell everyone whether predictions are answered. Has no effect once `leave` was called."""
        if self._left or serving == self._serving:
            return
        self._serving = serving
        self._wake()

    def leave(self) -> None:
        """Say NOT_SERVING for good, and end the watches."""
        self._serving = False
        self._left = True
        self._wake()

    async def Check(self, request: Any, context: Any) -> health_pb2.HealthCheckResponse:
        """Answer with the status now; NOT_FOUND for a service that is not here."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service {request.service[:128]!a}")
        return self._status(request.service)

    async def Watch(self, request: Any, context: Any) -> None:
        """Send the status now and whenever it changes."""
        while True:
            changed = self._changed  # taken before the status, so that no change falls between the two
            left = self._left
            await context.write(self._status(request.service))
            if left:
                return
            await changed.wait()

    def _status(self, service: str) -> health_pb2.HealthCheckResponse:
        if service not in self._services:
            return _Response(status=_Response.SERVICE_UNKNOWN)
        return _Response(status=_Response.SERVING if self._serving else _Response.NOT_SERVING)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
