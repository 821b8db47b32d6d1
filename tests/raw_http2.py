"""gRPC calls written by hand, for what no client library would send."""

import socket
import struct
import time

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS = 0, 1, 3, 4
_END_STREAM, _END_HEADERS, _ACK = 0x1, 0x4, 0x1
_FRAME = struct.Struct(">BHBBI")


def call_slowly(uds: str, path: str, message: bytes, *, timeout: str, pause_seconds: float) -> None:
    """Begin a call with this `grpc-timeout`, send its message after a pause, and read to the call's end."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(uds)
        connection.sendall(
            _PREFACE + _frame(_SETTINGS, 0, 0, b"") + _begin(1, path, {"grpc-timeout": timeout})
        )
        time.sleep(pause_seconds)
        connection.sendall(_message(1, message))
        _read_to_the_end(connection, {1})


def call_together(uds: str, path: str, messages: list[bytes]) -> None:
    """Send these calls by one write, and read to the end of all."""
    streams = [2 * number + 1 for number in range(len(messages))]
    calls = (_begin(one, path, {}) + _message(one, each) for one, each in zip(streams, messages, strict=True))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(uds)
        connection.sendall(_HELLO + b"".join(calls))
        _read_to_the_end(connection, set(streams))


def _begin(stream: int, path: str, more: dict[str, str]) -> bytes:
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
        **more,
    }
    return _frame(_HEADERS, _END_HEADERS, stream, b"".join(map(_header, headers.items())))


def _message(stream: int, message: bytes) -> bytes:
    return _frame(_DATA, _END_STREAM, stream, struct.pack(">BI", 0, len(message)) + message)


def _read_to_the_end(connection: socket.socket, streams: set[int]) -> None:
    frames = connection.makefile("rb")
    while streams:
        high, low, kind, flags, stream = _FRAME.unpack(frames.read(_FRAME.size))
        frames.read(high << 16 | low)
        if kind == _SETTINGS and not flags & _ACK:
            connection.sendall(_frame(_SETTINGS, _ACK, 0, b""))
        if kind == _RST_STREAM or (kind in (_DATA, _HEADERS) and flags & _END_STREAM):
            streams.discard(stream)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _FRAME.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def _header(item: tuple[str, str]) -> bytes:
    """A header that is neither indexed nor compressed; name and value under 127 bytes."""
    name, value = (part.encode() for part in item)
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


_HELLO = _PREFACE + _frame(_SETTINGS, 0, 0, b"")
