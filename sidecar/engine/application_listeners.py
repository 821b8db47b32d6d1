"""Where an application's calls arrive, as every engine reads the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from sidecar.config import Listeners

UDS_KEY = "[listeners] uds"
TCP_KEY = "[listeners] tcp"
SOCKET_MODE = 0o660  # the application's group may call


def socket_path(home: Path, listeners: Listeners) -> Path | None:
    """The absolute path of the socket, None for none. Raises ConfigError when there is no listener at all."""
    if not listeners.uds and not listeners.tcp:
        raise ConfigError("[listeners] uds and tcp are both empty; set at least one")
    return (home / listeners.uds).absolute() if listeners.uds else None
