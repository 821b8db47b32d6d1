"""Opening the engine's listeners: a Unix domain socket, a TCP port, or both."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import quote

from sidecar.engine.contract import Endpoints
from sidecar.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    import grpc

    from sidecar.config import Listeners

_MAX_PATH_BYTES = 107  # what a Unix socket address holds
_MAX_PORT = 65_535
_SOCKET_MODE = 0o660


def listen(server: grpc.aio.Server, home: Path, listeners: Listeners) -> Endpoints:
    """Add the listeners to a server that is not started yet.

    Raises ConfigError naming the key and the fix when one cannot be opened.
    """
    if not listeners.uds and not listeners.tcp:
        raise ConfigError("[listeners] uds and tcp are both empty; set at least one")
    uds = _listen_uds(server, (home / listeners.uds).absolute()) if listeners.uds else ""
    tcp = _listen_tcp(server, listeners.tcp) if listeners.tcp else ""
    return Endpoints(uds=uds, tcp=tcp)


def _listen_uds(server: grpc.aio.Server, path: Path) -> str:
    if len(str(path).encode()) > _MAX_PATH_BYTES:
        raise ConfigError(f"[listeners] uds: {path} is over {_MAX_PATH_BYTES} bytes; use a shorter path")
    if not path.parent.is_dir():
        raise ConfigError(f"[listeners] uds: there is no folder {path.parent}; make it first")
    _remove_stale(path)
    try:
        server.add_insecure_port(f"unix:{quote(str(path))}")
        path.chmod(_SOCKET_MODE)
    except (RuntimeError, OSError) as error:
        raise ConfigError(f"[listeners] uds: cannot listen on {path}: {_first_line(error)}") from error
    return str(path)


def _remove_stale(path: Path) -> None:
    """Remove the socket that a dead process left; gRPC would take a living one's over without a word."""
    if not path.exists():
        return
    if not path.is_socket():
        raise ConfigError(f"[listeners] uds: {path} is there and is no socket; remove it or use another path")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise ConfigError(f"[listeners] uds: another process listens on {path}; stop it or use another path")


def _listen_tcp(server: grpc.aio.Server, address: str) -> str:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > _MAX_PORT:
        raise ConfigError(f"[listeners] tcp: {address!r} is not host:port")
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError as error:
        raise ConfigError(f"[listeners] tcp: cannot listen on {address}: {_first_line(error)}") from error
    return f"{host}:{bound}"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:300]
