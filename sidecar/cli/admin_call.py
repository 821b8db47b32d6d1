"""Calling the admin service of a running sidecar."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc

from sidecar.client import CallError
from sidecar.errors import UnavailableError
from sidecar.v1 import admin_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidecar.config import Config

DEADLINE_SECONDS = 5.0


@contextmanager
def admin_stub(config: Config) -> Iterator[Any]:
    """The admin service's stub.

    Raises UnavailableError when no sidecar answers there, CallError when it answers with an error.
    """
    target = config.admin_address
    with grpc.insecure_channel(target, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            yield admin_pb2_grpc.AdminServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        except grpc.RpcError as error:
            call: Any = error  # every RpcError that a call raises has these two methods
            if call.code() is grpc.StatusCode.UNAVAILABLE:
                raise not_running(target) from None
            raise CallError(call.code(), call.details() or call.code().name) from None


def not_running(target: str) -> UnavailableError:
    """The error for a target where nothing answers."""
    return UnavailableError(
        f"no sidecar answers at {target}; start it with `sidecar serve`, or check --config"
    )
