"""Opening listeners, Unix domain sockets and TCP ports: as sockets of our own, or those of a gRPC server.

Both ways check alike and say the same when a listener cannot be opened.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sidecar.config import MAX_PORT, MAX_SOCKET_PATH_BYTES
from sidecar.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    import grpc

    _Address = tuple[Any, ...]  # host and port; for IPv6 flow and scope, too

BACKLOG = 1024
"""Connections that may wait to be accepted."""
_ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""The machine has no such address, or no IPv6: another address of the same host may do."""


def listen_uds(server: grpc.aio.Server, key: str, path: Path, mode: int) -> None:
    """Add a socket at `path` (absolute), with these permissions, to a server that is not started yet.

    key: the setting's name. Raises ConfigError naming it and the fix when the socket cannot be opened.
    """
    _clear_path(key, path)
    try:
        server.add_insecure_port(f"unix:{quote(str(path))}")
        path.chmod(mode)
    except (RuntimeError, OSError) as error:
        open_uds(key, path, mode).close()  # which says why, as gRPC does not
        path.unlink(missing_ok=True)
        raise _cannot_listen(key, str(path), error) from error


def listen_tcp(server: grpc.aio.Server, key: str, address: str) -> str:
    """Add host:port to a server that is not started yet; the same with the port that was taken.

    key: the setting's name. Raises ConfigError naming it when the port cannot be opened.
    """
    host, _ = _host_and_port(key, address)
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError as error:
        for opened in open_tcp(key, address)[0]:  # which says why, as gRPC does not
            opened.close()
        raise _cannot_listen(key, address, error) from error
    return f"{host}:{bound}"


def open_uds(key: str, path: Path, mode: int) -> socket.socket:
    """Listen at `path` (absolute), with these permissions from the first connection on.

    key: the setting's name. Raises ConfigError as `listen_uds` does.
    """
    _clear_path(key, path)
    opened = socket.socket(socket.AF_UNIX)
    try:
        opened.bind(str(path))
    except OSError as error:
        opened.close()
        raise _cannot_listen(key, str(path), error) from error
    try:
        path.chmod(mode)
        return _listening(opened)
    except OSError as error:
        opened.close()
        path.unlink(missing_ok=True)
        raise _cannot_listen(key, str(path), error) from error


def open_tcp(key: str, address: str) -> tuple[list[socket.socket], str]:
    """Listen on every address of host:port; the same address with the port that was taken.

    A host may have several addresses (localhost has one for IPv4 and one for IPv6): all get the same port.
    key: the setting's name. Raises ConfigError as `listen_tcp` does.
    """
    host, port = _host_and_port(key, address)
    opened: list[socket.socket] = []
    absent: OSError | None = None
    try:
        for family, where in _resolve(host.removeprefix("[").removesuffix("]"), port):
            try:
                opened.append(_bound(family, (where[0], port or _port_of(opened), *where[2:])))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
        if absent and not opened:
            raise absent
    except OSError as error:
        for each in opened:
            each.close()
        raise _cannot_listen(key, address, error) from error
    return opened, f"{host}:{_port_of(opened)}"


def _host_and_port(key: str, address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > MAX_PORT:
        raise ConfigError(f"{key}: {address!r} is not host:port")
    return host, int(port)


def _resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, _Address]]:
    """Each address of the host once, in the system's order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, where) for family, _, _, _, where in found))


def _bound(family: socket.AddressFamily, where: _Address) -> socket.socket:
    opened = socket.socket(family)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # not REUSEPORT: two must not share it
        if family == socket.AF_INET6:
            # As gRPC has it: the address of all interfaces is that of IPv4, too.
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, where[0] != "::")
        opened.bind(where)
        return _listening(opened)
    except OSError:
        opened.close()
        raise


def _listening(opened: socket.socket) -> socket.socket:
    opened.listen(BACKLOG)
    opened.setblocking(False)
    return opened


def _port_of(opened: list[socket.socket]) -> int:
    return int(opened[0].getsockname()[1]) if opened else 0


def _clear_path(key: str, path: Path) -> None:
    """Check that a socket can be made at `path`, and remove the one that a dead process left.

    A living one's would be taken over without a word.
    """
    if len(str(path).encode()) > MAX_SOCKET_PATH_BYTES:
        raise ConfigError(f"{key}: {path} is over {MAX_SOCKET_PATH_BYTES} bytes; use a shorter path")
    if not path.parent.is_dir():
        raise ConfigError(f"{key}: there is no folder {path.parent}; make it first")
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


def _cannot_listen(key: str, where: str, error: Exception) -> ConfigError:
    said = (isinstance(error, OSError) and error.strerror) or str(error).strip().split("\n", 1)[0][:300]
    return ConfigError(f"{key}: cannot listen on {where}: {said}")
