"""The configuration's values: one TOML file plus environment variables. Only this module reads either.

Every key `[section] key` can be overridden by the variable `SIDECAR_<SECTION>_<KEY>`, and the two that stand
before the sections by SIDECAR_HOME and SIDECAR_ENGINE.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints
from urllib.parse import urlsplit

from sidecar.config import (
    ENGINES,
    HOST_PORT,
    MAX_PORT,
    MAX_SOCKET_PATH_BYTES,
    Config,
    Drift,
    Limits,
    Listeners,
    Log,
    Metrics,
    Native,
    Recorder,
    Shadow,
)
from sidecar.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PREFIX = "SIDECAR_"
_MOST = 2**31 - 1  # an int of gRPC's core; in seconds a lifetime


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
    """Every setting with its effective value and source, in the order of the classes of `config.py`.

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
    if listen and not HOST_PORT.fullmatch(listen):
        raise ConfigError(f"{_place(setting)} is {listen!r}; it must be host:port")
    if listen and int(listen.rpartition(":")[2]) > MAX_PORT:
        raise ConfigError(f"{_place(setting)} is {listen!r}; a port is at most {MAX_PORT}")


def _check_listeners(settings: Mapping[str, Setting]) -> None:
    uds, tcp, admin = (str(settings[key].value) for key in ("uds", "tcp", "admin"))
    if not uds and not tcp:
        raise ConfigError("[listeners] uds and tcp are both empty; give one of them")
    if tcp and not HOST_PORT.fullmatch(tcp):
        raise ConfigError(f"{_place(settings['tcp'])} is {tcp!r}; it must be host:port")
    if not admin:
        raise ConfigError(f"{_place(settings['admin'])} is empty; give a path or host:port")
    if admin in (uds, tcp) and not admin.endswith(":0"):
        raise ConfigError(f"{_place(settings['admin'])} is {admin!r}, where predictions listen; give another")
    for setting in (settings["tcp"], settings["admin"]):
        port = str(setting.value).rpartition(":")[2]
        if HOST_PORT.fullmatch(str(setting.value)) and int(port) > MAX_PORT:
            raise ConfigError(f"{_place(setting)} is {setting.value!r}; a port is at most {MAX_PORT}")
    home = Path(str(settings["home"].value))
    for listener in filter(None, (uds, admin)):
        path = str(home / listener)
        if not HOST_PORT.fullmatch(listener) and len(path.encode()) > MAX_SOCKET_PATH_BYTES:
            raise ConfigError(
                f"the socket path {path} has over {MAX_SOCKET_PATH_BYTES} bytes, which the system "
                "does not allow; choose a shorter home"
            )
