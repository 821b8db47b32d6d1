"""Everything that can go wrong on purpose, and the one table that maps it to gRPC status codes."""

from __future__ import annotations

import grpc


class SidecarError(Exception):
    """Base of all errors whose message is written for the person who caused them."""


class InvalidRequestError(SidecarError):
    """A request that does not fit the contract; the message names the field and the fix."""


class SignatureMismatchError(SidecarError):
    """The caller, or a candidate, was built against another signature than the deployed one."""


class NoChampionError(SidecarError):
    """Nothing is deployed yet."""


class OverloadedError(SidecarError):
    """More work is in flight than the limits admit."""


class DeadlineError(SidecarError):
    """The caller's deadline had passed before the work began; nothing was done."""


class UnavailableError(SidecarError):
    """Not done, nothing kept: the same call may succeed later."""


class ModelFailedError(SidecarError):
    """The champion raised, or gave a score that is not a number."""


class BundleError(SidecarError):
    """A bundle is damaged, edited, incomplete, or of a format this version does not read."""


class AdmissionError(SidecarError):
    """A bundle failed the admission check; the message is the finding."""


class NotFoundError(SidecarError):
    """No such model, version or row."""


class ConflictError(SidecarError):
    """Somebody else moved first, or the lifecycle has no such arrow."""


class ConfigError(SidecarError):
    """The configuration cannot be used; the message names the key and the fix."""


STATUS: dict[type[Exception], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    SignatureMismatchError: grpc.StatusCode.FAILED_PRECONDITION,
    NoChampionError: grpc.StatusCode.FAILED_PRECONDITION,
    OverloadedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlineError: grpc.StatusCode.DEADLINE_EXCEEDED,
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
    ModelFailedError: grpc.StatusCode.INTERNAL,
    BundleError: grpc.StatusCode.INVALID_ARGUMENT,
    AdmissionError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    ConflictError: grpc.StatusCode.FAILED_PRECONDITION,
    ConfigError: grpc.StatusCode.INVALID_ARGUMENT,
}


MAX_DETAIL_BYTES = 2000
"""Bytes of a message that travel: it becomes a header, in which a byte may take three."""


def status_of(error: Exception) -> grpc.StatusCode:
    """The gRPC status for `error`; INTERNAL for what is not in the table, which nobody meant to happen."""
    return STATUS.get(type(error), grpc.StatusCode.INTERNAL)


def detail_of(error: Exception) -> str:
    """What the caller is told of `error`, cut to a length that travels; of an unexpected one, nothing."""
    if not isinstance(error, SidecarError):
        return "the sidecar failed; its log says how"
    return str(error).encode(errors="replace")[:MAX_DETAIL_BYTES].decode(errors="ignore")
