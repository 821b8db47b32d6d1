"""Options that several commands share."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidecar.settings import load_config

if TYPE_CHECKING:
    from collections.abc import Callable

_DEFAULT = Path("sidecar.toml")


def _found(_context: click.Context, _option: click.Parameter, given: Path | None) -> Path | None:
    return given or (_DEFAULT if _DEFAULT.exists() else None)


config_path = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    envvar="SIDECAR_CONFIG",
    callback=_found,
    help="The TOML file.  [default: ./sidecar.toml if there is one; environment: SIDECAR_CONFIG]",
)
"""Gives the command `config_path`, or None when there is no file."""


def with_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command the option --config, and the loaded configuration as its first argument."""

    @functools.wraps(command)
    def call(config_path: Path | None, **options: Any) -> Any:
        return command(load_config(config_path, os.environ), **options)

    return config_path(call)


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
"""Gives the command `as_json`."""
