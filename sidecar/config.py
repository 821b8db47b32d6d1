"""Configuration: a small frozen object for each part of the process. `settings.py` reads the values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

ENGINES = ("auto", "native", "python")
MAX_SOCKET_PATH_BYTES = 107
"""What the address of a Unix domain socket holds."""
MAX_PORT = 65_535
HOST_PORT = re.compile(r"[^/]+:\d{1,5}")


@dataclass(frozen=True, slots=True)
class Listeners:
    """Where calls arrive: the application's at uds, tcp or both."""

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
class Native:
    """How the native engine works. The python engine uses none of these."""

    event_loops: int = 0
    """Threads that read, answer and write; 0 for half of the usable cores, at least one."""
    hand_off_us: int = 500
    """Microseconds. A run estimated to take longer is handed to a worker thread, instead of being run between
    other callers' requests."""
    batch_rows: int = 1
    """One-row requests that arrived together are run together, at most this many; 1 runs each by itself. No
    request waits for others that have not arrived."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """How rows reach the log."""

    flush_seconds: float = 0.1
    """At most this much time of answered rows is lost when the process is killed."""
    batch_rows: int = 8192
    """Rows in one transaction at most."""
    share: float = 1.0
    """The part of the requests that candidates score and the log keeps, chosen by a hash of the request id;
    the others are answered and counted as sampled out."""


@dataclass(frozen=True, slots=True)
class Log:
    """How long rows are kept, and where. Sealing into Parquet files needs the extra `parquet`."""

    seal_hours: float = 1.0
    """Rows leave SQLite for Parquet files once the oldest of them is this old."""
    seal_mb: int = 256
    """And earlier, once they are this large."""
    keep_days: float = 400.0
    """Older rows are dropped; 0 for no limit. The trainer needs all rows since the shadow of a candidate, or
    of the first fit of its recipe, began."""
    keep_mb: int = 16_384
    """The oldest rows are dropped while the log is larger; 0 for no limit."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """How candidates are run."""

    copy_share: float = 0.01
    """The part of the champion's inference calls that a copy of it scores in the shadow: both must agree to
    the bit, and what their clocks say apart is the shadow's doing. 0 for no copy."""
    queue_rows: int = 65_536
    """Rows waiting for one candidate; when full, further rows are shed."""
    chunk_rows: int = 2048
    """Rows sent to a worker at a time."""
    stall_seconds: float = 2.0
    """A worker that spends longer on one inference call is killed."""
    load_seconds: float = 60.0
    """A worker that takes longer to load its model is killed."""
    memory_mb: int = 4096
    """Address space of a worker."""
    scheduling: str = "idle"
    """"idle": a worker gets the processor time that nobody else wants (SCHED_IDLE of Linux). "nice": it gets
    its small part also where all cores are busy."""
    nice: int = 19
    """Added to a worker's niceness, so that the serving process goes first. 19 is the most there is."""
    crashes: int = 5
    """So many crashes or time-outs within `crash_window_seconds` quarantine a candidate."""
    crash_window_seconds: float = 300.0
    """See `crashes`."""
    backoff_seconds: float = 0.1
    """Before the first restart; doubled for each that follows, up to 5 seconds."""
    canary_failures: int = 5
    """A canary that failed on so many calls at one share is rejected; the champion answers such calls."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How the traffic is compared with the champion's training rows."""

    watch: str = "on"
    """"on", or "off": nothing is counted and nothing compared."""
    false_alarms_per_day: float = 0.02
    """Findings a day that chance alone may open, over all fields of a model: 0.02 is one in fifty days."""
    windows_running: int = 2
    """A finding opens when so many windows running are strange in the same way."""
    min_rows: int = 500
    """Hours and days with fewer rows are not looked at. Where no day of a week has enough, the week is; where
    it has too few, four weeks of 50 rows or more."""
    webhook: str = ""
    """An http or https address that each new finding is posted to, as JSON; empty for none."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where Prometheus asks."""

    listen: str = ""
    """host:port of GET /metrics; port 0 takes a free one; empty for none."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything `sidecar serve` needs to know."""

    home: Path = Path("var")
    """Holds registry.db, log.db, profiles.db, findings.db, bundles/, snapshots/ and the sockets. Relative to
    the config file."""
    engine: str = "auto"
    """"auto", "native" or "python"; auto takes native where it is installed."""
    listeners: Listeners = field(default_factory=Listeners)
    limits: Limits = field(default_factory=Limits)
    native: Native = field(default_factory=Native)
    recorder: Recorder = field(default_factory=Recorder)
    log: Log = field(default_factory=Log)
    shadow: Shadow = field(default_factory=Shadow)
    drift: Drift = field(default_factory=Drift)
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def admin_address(self) -> str:
        """The admin listener as a gRPC target."""
        return address(self.home, self.listeners.admin)

    @property
    def registry_path(self) -> Path:
        """The registry's database."""
        return self.home / "registry.db"

    @property
    def log_path(self) -> Path:
        """The log's database."""
        return self.home / "log.db"

    @property
    def profiles_path(self) -> Path:
        """The counts of what arrived."""
        return self.home / "profiles.db"

    @property
    def findings_path(self) -> Path:
        """What monitors found."""
        return self.home / "findings.db"

    @property
    def bundles_path(self) -> Path:
        """The folder of bundles."""
        return self.home / "bundles"

    @property
    def snapshots_path(self) -> Path:
        """The folder of training snapshots."""
        return self.home / "snapshots"


def address(home: Path, listener: str) -> str:
    """A listener as a gRPC target: host:port as it is, anything else as the path of a socket in `home`."""
    # gRPC decodes percent signs in a target.
    return listener if HOST_PORT.fullmatch(listener) else f"unix:{quote(str((home / listener).absolute()))}"
