"""Configuration: one TOML file plus environment variables. Only this module reads either.

Every key `[section] key` can be overridden by the variable `SIDECAR_<SECTION>_<KEY>`. Each part of the
process gets its own small frozen object.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from sidecar.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Listeners:
    """Where the application's calls arrive. At least one of the two."""

    uds: str = "sidecar.sock"
    """Path of a Unix domain socket, relative to `home`; empty for none."""
    tcp: str = ""
    """host:port; port 0 takes a free one; empty for none."""
    admin: str = "admin.sock"
    """The admin service's own listener: a socket path relative to `home`, or host:port."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the engine admits."""

    max_in_flight: int = 256
    """Calls in progress; more are refused with RESOURCE_EXHAUSTED."""
    max_message_bytes: int = 4 * 1024 * 1024
    """The largest request message."""
    max_rows: int = 4096
    """Rows in one ModelInfer call."""
    ring_rows: int = 65_536
    """Answered rows waiting for the recorder; when full, further rows are dropped and counted."""
    grace_seconds: float = 10.0
    """On SIGTERM: time for calls in progress, and then for the recorder and shadows to finish."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """How rows reach the log."""

    flush_seconds: float = 0.1
    """At most this much time of answered rows is lost when the process is killed."""
    batch_rows: int = 8192
    """Rows in one transaction at most."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """How candidates are run."""

    queue_rows: int = 20_000
    """Rows waiting for one candidate; when full, further rows are shed."""
    chunk_rows: int = 256
    """Rows sent to a worker at a time."""
    stall_seconds: float = 2.0
    """A worker that spends longer on one inference call is killed."""
    load_seconds: float = 60.0
    """A worker that takes longer to load its model is killed."""
    memory_mb: int = 4096
    """Address space of a worker."""
    nice: int = 10
    """Added to a worker's niceness, so that the serving process goes first."""
    crashes: int = 5
    """So many crashes or time-outs within `crash_window_seconds` quarantine a candidate."""
    crash_window_seconds: float = 300.0
    """See `crashes`."""
    backoff_seconds: float = 0.1
    """Before the first restart; doubled for each that follows, up to 5 seconds."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything `sidecar serve` needs to know."""

    home: Path = Path("var")
    """Holds registry.db, log.db, bundles/, snapshots/ and the sockets. Relative to the config file."""
    engine: str = "auto"
    """"auto" or "python"."""
    listeners: Listeners = field(default_factory=Listeners)
    limits: Limits = field(default_factory=Limits)
    recorder: Recorder = field(default_factory=Recorder)
    shadow: Shadow = field(default_factory=Shadow)

    @property
    def registry_path(self) -> Path:
        """The registry's database."""
        return self.home / "registry.db"

    @property
    def log_path(self) -> Path:
        """The log's database."""
        return self.home / "log.db"

    @property
    def bundles_path(self) -> Path:
        """The folder of bundles."""
        return self.home / "bundles"

    @property
    def snapshots_path(self) -> Path:
        """The folder of training snapshots."""
        return self.home / "snapshots"
