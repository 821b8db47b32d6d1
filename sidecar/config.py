"""Configuration: one TOML file plus environment variables. Only this module reads either.

Every key `[section] key` can be overridden by the variable `SIDECAR_<SECTION>_<KEY>`, and the two that stand
before the sections by SIDECAR_HOME and SIDECAR_ENGINE. Each part of the process gets its own small frozen
object.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints
from urllib.parse import quote, urlsplit

from sidecar.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENGINES = ("auto", "native", "python")
_PREFIX = "SIDECAR_"
MAX_SOCKET_PATH_BYTES = 107
"""What the address of a Unix domain socket holds."""
MAX_PORT = 65_535
_MOST = 2**31 - 1  # an int of gRPC's core; in seconds a lifetime
_HOST_PORT = re.compile(r"[^/]+:\d{1,5}")


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
    """Hours and days with fewer rows are not looked at."""
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


@dataclass(frozen=True, slots=True)
class Setting:
    """One effective value and where it comes from: "default", the file and line, or the variable.

    `section` is "" for the keys that stand before the sections.
    """

    section: str
    key: str
    value: str | float
    source: str

    @property
    def name(self) -> str:
        """How messages name it."""
        return f"[{self.section}] {self.key}" if self.section else self.key


_SECTIONS: Mapping[str, type] = {
    "": Config,
    "listeners": Listeners,
    "limits": Limits,
    "native": Native,
    "recorder": Recorder,
    "log": Log,
    "shadow": Shadow,
    "drift": Drift,
    "metrics": Metrics,
}
_CHOICES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("", "engine"): ENGINES,
    ("shadow", "scheduling"): ("idle", "nice"),
    ("drift", "watch"): ("on", "off"),
}
_MAY_BE_ZERO = frozenset(
    {
        ("limits", "grace_seconds"),
        ("native", "event_loops"),
        ("native", "hand_off_us"),
        ("log", "keep_days"),
        ("log", "keep_mb"),
        ("shadow", "copy_share"),
        ("shadow", "nice"),
        ("shadow", "backoff_seconds"),
    }
)
_MOST_OF: Mapping[tuple[str, str], int] = {
    ("native", "event_loops"): 1024,  # each is a thread
    ("recorder", "share"): 1,
    ("shadow", "copy_share"): 1,
}


def load_config(path: Path | None, environ: Mapping[str, str]) -> Config:
    """The configuration from the file at `path` (None for none) and the environment.

    Raises ConfigError naming the file's line or the variable, and the fix.
    """
    values: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    for setting in describe(path, environ):
        values[setting.section][setting.key] = setting.value
    return Config(
        home=Path(values[""]["home"]),
        engine=values[""]["engine"],
        listeners=Listeners(**values["listeners"]),
        limits=Limits(**values["limits"]),
        native=Native(**values["native"]),
        recorder=Recorder(**values["recorder"]),
        log=Log(**values["log"]),
        shadow=Shadow(**values["shadow"]),
        drift=Drift(**values["drift"]),
        metrics=Metrics(**values["metrics"]),
    )


def describe(path: Path | None, environ: Mapping[str, str]) -> list[Setting]:
    """Every setting with its effective value and source, in the order of the classes above.

    `home` is absolute: in the file relative to the file's folder, in the environment to the working one.
    Raises ConfigError as `load_config` does.
    """
    given = _from_file(path) if path is not None else {}
    given |= _from_environment(environ)
    beside = Path.cwd() if path is None else path.absolute().parent
    settings = []
    for section, key, default in _keys():
        setting = given.get((section, key), Setting(section, key, default, "default"))
        if (section, key) == ("", "home") and setting.value:
            base = Path.cwd() if setting.source.startswith(_PREFIX) else beside
            setting = Setting(section, key, str(base / str(setting.value)), setting.source)
        _check(setting)
        settings.append(setting)
    _check_listeners({setting.key: setting for setting in settings if setting.section in ("", "listeners")})
    return settings


def address(home: Path, listener: str) -> str:
    """A listener as a gRPC target: host:port as it is, anything else as the path of a socket in `home`."""
    # gRPC decodes percent signs in a target.
    return listener if _HOST_PORT.fullmatch(listener) else f"unix:{quote(str((home / listener).absolute()))}"


def _keys() -> Iterator[tuple[str, str, Any]]:
    for section, kind in _SECTIONS.items():
        for item in fields(kind):
            if item.name not in _SECTIONS:
                default = str(item.default) if isinstance(item.default, Path) else item.default
                yield section, item.name, default


def _from_file(path: Path) -> dict[tuple[str, str], Setting]:
    try:
        text = path.read_text()
        content = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    found: dict[tuple[str, str], Setting] = {}
    for name, value in content.items():
        if name in _SECTIONS and isinstance(value, dict):
            for key, inner in value.items():
                found[name, key] = _given(name, key, inner, _where(path, text, name, key))
        elif isinstance(value, dict):
            near = _did_you_mean(name, [section for section in _SECTIONS if section])
            raise ConfigError(f"{_where(path, text, name, '')}: unknown section [{name}]{near}")
        else:
            found["", name] = _given("", name, value, _where(path, text, "", name))
    return found


def _from_environment(environ: Mapping[str, str]) -> dict[tuple[str, str], Setting]:
    found: dict[tuple[str, str], Setting] = {}
    for name, text in environ.items():
        section, _, key = name.removeprefix(_PREFIX).lower().partition("_")
        if name in ("SIDECAR_HOME", "SIDECAR_ENGINE"):
            section, key = "", section
        elif not name.startswith(_PREFIX) or section not in _SECTIONS or not section:
            continue  # Kubernetes sets variables such as SIDECAR_PORT for a service called "sidecar".
        kind = _kind(section, key, name)
        try:
            value = text if kind is str else kind(text)
        except ValueError:
            raise ConfigError(f"{name}: {text!r} is not {_KINDS[kind]}") from None
        found[section, key] = Setting(section, key, value, name)
    return found


_KINDS = {str: "text", int: "a whole number", float: "a number"}


def _given(section: str, key: str, value: Any, where: str) -> Setting:
    kind = _kind(section, key, where)
    fits = isinstance(value, int | float if kind is float else kind) and not isinstance(value, bool)
    if not fits:
        raise ConfigError(f"{where}: {key} is {value!r}; it must be {_KINDS[kind]}")
    return Setting(section, key, kind(value), where)


def _kind(section: str, key: str, where: str) -> type:
    keys = [name for of, name, _ in _keys() if of == section]
    if key not in keys:
        place = f" in [{section}]" if section else ""
        raise ConfigError(f"{where}: unknown key '{key}'{place}{_did_you_mean(key, keys)}")
    kind: type = get_type_hints(_SECTIONS[section])[key]
    return str if kind is Path else kind


def _did_you_mean(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(known)}"


def _where(path: Path, text: str, section: str, key: str) -> str:
    """The file, and the line too where the key stands in the plain form. tomllib keeps no positions."""
    inside = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([\w-]+)\s*\]", line):
            inside = header[1]
            if not key and inside == section:
                return f"{path}:{number}"
        elif key and inside == section and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return f"{path}:{number}"
    return str(path)


def _place(setting: Setting) -> str:
    return f"{setting.name} ({setting.source})"


def _check(setting: Setting) -> None:
    where = _place(setting)
    if isinstance(setting.value, str):
        if (setting.section, setting.key) == ("", "home") and not setting.value:
            raise ConfigError(f"{where} is empty; name a folder")
        choices = _CHOICES.get((setting.section, setting.key))
        if choices and setting.value not in choices:
            raise ConfigError(f"{where} is {setting.value!r}; it must be one of: {', '.join(choices)}")
        if (setting.section, setting.key) == ("drift", "webhook"):
            _check_webhook(setting)
        if (setting.section, setting.key) == ("metrics", "listen"):
            _check_metrics(setting)
        return
    zero = (setting.section, setting.key) in _MAY_BE_ZERO
    if not (setting.value >= 0 if zero else setting.value > 0):
        least = "0 or more" if zero else "greater than 0"
        raise ConfigError(f"{where} is {setting.value}; it must be {least}")
    most = _MOST_OF.get((setting.section, setting.key), _MOST)
    if setting.value > most:
        raise ConfigError(f"{where} is {setting.value}; it must be at most {most}")


def _check_webhook(setting: Setting) -> None:
    parts = urlsplit(str(setting.value))
    if setting.value and not (parts.scheme in ("http", "https") and parts.hostname):
        raise ConfigError(f"{_place(setting)} is {setting.value!r}; it must be an http or https address")


def _check_metrics(setting: Setting) -> None:
    listen = str(setting.value)
    if listen and not _HOST_PORT.fullmatch(listen):
        raise ConfigError(f"{_place(setting)} is {listen!r}; it must be host:port")
    if listen and int(listen.rpartition(":")[2]) > MAX_PORT:
        raise ConfigError(f"{_place(setting)} is {listen!r}; a port is at most {MAX_PORT}")


def _check_listeners(settings: Mapping[str, Setting]) -> None:
    uds, tcp, admin = (str(settings[key].value) for key in ("uds", "tcp", "admin"))
    if not uds and not tcp:
        raise ConfigError("[listeners] uds and tcp are both empty; give one of them")
    if tcp and not _HOST_PORT.fullmatch(tcp):
        raise ConfigError(f"{_place(settings['tcp'])} is {tcp!r}; it must be host:port")
    if not admin:
        raise ConfigError(f"{_place(settings['admin'])} is empty; give a path or host:port")
    if admin in (uds, tcp) and not admin.endswith(":0"):
        raise ConfigError(f"{_place(settings['admin'])} is {admin!r}, where predictions listen; give another")
    for setting in (settings["tcp"], settings["admin"]):
        port = str(setting.value).rpartition(":")[2]
        if _HOST_PORT.fullmatch(str(setting.value)) and int(port) > MAX_PORT:
            raise ConfigError(f"{_place(setting)} is {setting.value!r}; a port is at most {MAX_PORT}")
    home = Path(str(settings["home"].value))
    for listener in filter(None, (uds, admin)):
        path = str(home / listener)
        if not _HOST_PORT.fullmatch(listener) and len(path.encode()) > MAX_SOCKET_PATH_BYTES:
            raise ConfigError(
                f"the socket path {path} has over {MAX_SOCKET_PATH_BYTES} bytes, which the system "
                "does not allow; choose a shorter home"
            )
