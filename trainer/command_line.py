"""What every trainer command shares: configuration, actor, output, and errors of one line."""

from __future__ import annotations

import getpass
import json
import math
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from sidecar.cli.numbers import Number
from sidecar.cli.options import as_json as json_option
from sidecar.cli.options import config_path as config_option
from sidecar.errors import InvalidRequestError, NotFoundError
from sidecar.registry import Registry
from sidecar.settings import load_config
from sidecar.store.reader import LogReader
from trainer.days import moment
from trainer.judge import open_findings
from trainer.progress import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from rich.console import RenderableType

    from sidecar.config import Config
    from sidecar.findings import Finding

PATIENCE_SECONDS = 10.0
TASK = click.argument("task_path", metavar="TASK", type=click.Path(path_type=Path))
WHY = click.option("--why", required=True, help="The reason, for the audit trail.")


class _Date(click.DateTime):
    """A moment in UTC."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is no UTC date; give one as 2013-03-16 or 2013-03-16T12:00:00", param, ctx)


DATE = _Date(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@dataclass(frozen=True)
class Session:
    """One command's surroundings."""

    config: Config
    actor: str
    as_json: bool
    patience_seconds: float

    def registry(self) -> Registry:
        """The home's registry, to be used as a context manager."""
        return Registry(self.config.registry_path)

    def reader(self) -> LogReader:
        """The home's log, to be used as a context manager. Raises NotFoundError when there is none."""
        return LogReader(self.config.log_path)

    def findings(self) -> list[Finding]:
        """What the home's monitors find at present; nothing where none ever looked."""
        return open_findings(self.config)

    @contextmanager
    def narrator(self) -> Iterator[Terminal]:
        """Where progress is told."""
        with Terminal(Console(stderr=True)) as terminal:
            yield terminal

    def show(self, data: dict[str, Any], *views: RenderableType) -> None:
        """Print the result: as JSON on one line, or as it reads best."""
        if self.as_json:
            click.echo(json.dumps(plain(data), allow_nan=False))
            return
        # Names and reasons are shown as they are, brackets and colons included.
        console = Console(highlight=False, markup=False, emoji=False)
        for view in views:
            if view:
                console.print(view)


def with_session(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that all have, and a Session as its first argument."""

    @config_option
    @click.option(
        "--actor",
        envvar="SIDECAR_ACTOR",
        help="Who acts, for the audit trail. Default: $SIDECAR_ACTOR, or the user's name.",
    )
    @json_option
    @click.option(
        "--patience",
        "patience_seconds",
        type=Number(min=0),
        default=PATIENCE_SECONDS,
        show_default=True,
        help="Seconds to wait for a sidecar to take up a change, before saying that none did.",
    )
    @wraps(command)
    def inner(
        *,
        config_path: Path | None,
        actor: str | None,
        as_json: bool,
        patience_seconds: float,
        **arguments: Any,
    ) -> None:
        config = load_config(config_path, os.environ)
        command(Session(config, actor or _user(), as_json, patience_seconds), **arguments)

    return inner


def find_bundle(config: Config, given: str) -> Path:
    """The folder that was named, or the one below the home's bundles whose digest begins so.

    Raises NotFoundError when none or several do, and InvalidRequestError when nothing is named.
    """
    if not given:
        raise InvalidRequestError("name a bundle by its folder, its digest, or the beginning of that")
    path = Path(given)
    if path.is_dir():
        return path.resolve()
    found = sorted(config.bundles_path.glob(f"{given}*")) if given.isalnum() else []
    if len(found) != 1:
        count = len(found) or "no"
        where = f"in {config.bundles_path}; name one by its digest or its folder"
        raise NotFoundError(f"{count} bundles begin with {given!r} {where}")
    return found[0]


def plain(value: Any) -> Any:
    """Data that JSON can say: NaN and infinities become null."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def nanoseconds_of(when: datetime | None) -> int | None:
    """A date given as an option, in nanoseconds since the epoch; None where it was not given."""
    return None if when is None else moment(when)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return f"uid {os.getuid()}"
