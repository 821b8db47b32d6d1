"""Times on the wire and as int64 nanoseconds since the Unix epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.errors import InvalidRequestError

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

_SECOND = 1_000_000_000
# What int64 nanoseconds can hold, in whole seconds.
_FIRST_SECOND, _LAST_SECOND = -(2**63) // _SECOND + 1, 2**63 // _SECOND - 1


def to_nanoseconds(time: Timestamp, name: str) -> int:
    """Nanoseconds since the Unix epoch.

    Raises InvalidRequestError naming the field when the timestamp is malformed or outside int64.
    """
    if not (_FIRST_SECOND <= time.seconds <= _LAST_SECOND and 0 <= time.nanos < _SECOND):
        raise InvalidRequestError(
            f"{name} is out of range; send a time from 1678 to 2261 with nanos below 1e9"
        )
    return time.seconds * _SECOND + time.nanos


def set_nanoseconds(time: Timestamp, nanoseconds: int) -> None:
    """Write nanoseconds since the Unix epoch into a message's timestamp."""
    time.seconds, time.nanos = divmod(int(nanoseconds), _SECOND)
