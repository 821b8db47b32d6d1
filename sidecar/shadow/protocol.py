"""What supervisor and worker say to each other.

supervisor ── Orders ──────▶ worker      on its command line
           ◀────── Loaded ──             a frame: its length, then its bytes
           ── packed rows ─▶             a frame for each chunk
           ◀── CHUNK_DONE ──             the results lie in the shared memory
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import socket

_LENGTH = struct.Struct("<I")
CHUNK_DONE = b"."
"""Said by the worker after each chunk, bare: a single byte arrives whole or not at all."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told when it starts. socket, results: inherited file descriptors.

    engine: the name of the one that serves the champion. nice: added to its niceness. idle: once loaded, run
    only where nobody else wants the core.
    """

    socket: int
    results: int
    rows: int
    engine: str
    bundle: str
    memory_mb: int
    nice: int
    idle: bool
    parent: int

    def to_json(self) -> str:
        """As one argument."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a worker says once its candidate is loaded, or could not be: then `error` says why.

    signature: digest of the candidate's signature.
    """

    signature: str = ""
    error: str = ""

    def to_json(self) -> bytes:
        """As one frame."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, frame: bytes) -> Self:
        """The inverse of `to_json`."""
        return cls(**json.loads(frame))


def send_frame(connection: socket.socket, data: bytes) -> None:
    """Send one frame."""
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive_frame(connection: socket.socket) -> bytes:
    """Wait for one frame. Raises EOFError when the other side is gone."""
    (length,) = _LENGTH.unpack(_receive(connection, _LENGTH.size))
    return _receive(connection, length)


def _receive(connection: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        received = connection.recv_into(view)
        if not received:
            raise EOFError
        view = view[received:]
    return bytes(data)
