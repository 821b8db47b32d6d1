"""The details of an error that ask the caller to come back later: google.rpc.Status with a RetryInfo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    import grpc

KEY = "grpc-status-details-bin"
"""The trailer in which gRPC carries an error's details."""
RETRY_SECONDS = 0.1
"""What a caller is asked to wait at least."""


def retry_trailer(status: grpc.StatusCode, message: str) -> tuple[str, bytes]:
    """The trailer of a refusal with this status and message that asks for RETRY_SECONDS of patience."""
    details = Status(code=status.value[0], message=message)
    retry = RetryInfo()
    retry.retry_delay.FromNanoseconds(round(RETRY_SECONDS * 1e9))
    details.details.add().Pack(retry)
    return KEY, details.SerializeToString()


def retry_after(trailers: Iterable[tuple[str, str | bytes]] | None) -> float | None:
    """The seconds that the server asks to wait for; None when it does not say, or not in this form."""
    for key, value in trailers or ():
        if key == KEY and isinstance(value, bytes):
            return _delay(value)
    return None


def _delay(value: bytes) -> float | None:
    retry = RetryInfo()
    try:
        for detail in Status.FromString(value).details:
            if detail.Unpack(retry):
                return float(retry.retry_delay.ToNanoseconds() / 1e9)
    except DecodeError:
        pass
    return None
