"""One gRPC call written by hand, for what no client library would send."""

import socket
import struct
import time

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS = 0, 1, 3, 4
_END_STREAM, _END_HEADERS, _ACK = 0x1, 0x4, 0x1
_FRAME = struct.Struct(">BHBBI")


def call_slowly(uds: str, path: str, message: bytes, *, timeout: str, pause_seconds: float) -> None:
    """Begin a call with this `grpc-timeout`, send its message after a pause, and read to the call's end."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
        "grpc-timeout": timeout,
    }
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(uds)
        connection.sendall(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, b"")
            + _frame(_HEADERS, _END_HEADERS, 1, b"".join(map(_header, headers.items())))
        )
        time.sleep(pause_seconds)
        connection.sendall(_frame(_DATA, _END_STREAM, 1, struct.pack(">BI", 0, len(message)) + message))
        frames = connection.makefile("rb")
        while True:
            high, low, kind, flags, stream = _FRAME.unpack(frames.read(_FRAME.size))
            frames.read(high << 16 | low)
            if kind == _SETTINGS and not flags & _ACK:
                connection.sendall(_frame(_SETTINGS, _ACK, 0, b""))
            if stream == 1 and (kind == _RST_STREAM or (kind in (_DATA, _HEADERS) and flags & _END_STREAM)):
                return


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _FRAME.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def _header(item: tuple[str, str]) -> bytes:
    """A header that is neither indexed nor compressed; name and value under 127 bytes."""
    name, value = (part.encode() for part in item)
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value
