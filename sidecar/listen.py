"""Opening a gRPC server's listeners: Unix domain sockets and TCP ports."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import quote

from sidecar.config import MAX_PORT, MAX_SOCKET_PATH_BYTES
from sidecar.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    import grpc


def listen_uds(server: grpc.aio.Server, key: str, path: Path, mode: int) -> None:
    """Add a socket at `path` (absolute), with these permissions, to a server that is not started yet.

    key: the setting's name. Raises ConfigError naming it and the fix when the socket cannot be opened.
    """
    if len(str(path).encode()) > MAX_SOCKET_PATH_BYTES:
        raise ConfigError(f"{key}: {path} is over {MAX_SOCKET_PATH_BYTES} bytes; use a shorter path")
    if not path.parent.is_dir():
        raise ConfigError(f"{key}: there is no folder {path.parent}; make it first")
    _remove_stale(key, path)
    try:
        server.add_insecure_port(f"unix:{quote(str(path))}")
        path.chmod(mode)
    except (RuntimeError, OSError) as error:
        raise ConfigError(f"{key}: cannot listen on {path}: {_first_line(error)}") from error


def listen_tcp(server: grpc.aio.Server, key: str, address: str) -> str:
    """Add host:port to a server that is not started yet; the same with the port that was taken.

    key: the setting's name. Raises ConfigError naming it when the port cannot be opened.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > MAX_PORT:
        raise ConfigError(f"{key}: {address!r} is not host:port")
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError as error:
        raise ConfigError(f"{key}: cannot listen on {address}: {_first_line(error)}") from error
    return f"{host}:{bound}"


def _remove_stale(key: str, path: Path) -> None:
    """Remove the socket that a dead process left; gRPC would take a living one's over without a word."""
    if not path.exists():
        return
    if not path.is_socket():
        raise ConfigError(f"{key}: {path} is there and is no socket; remove it or use another path")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise ConfigError(f"{key}: another process listens on {path}; stop it or use another path")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:300]
