"""`sidecar config`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from sidecar.cli.options import as_json, config_path
from sidecar.settings import describe

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@config_path
@as_json
def config(config_path: Path | None, *, as_json: bool) -> None:
    """Show every setting in force, and where it comes from.

    A setting `key` in `[section]` can be overridden by the variable SIDECAR_SECTION_KEY.
    """
    settings = describe(config_path, os.environ)
    if as_json:
        listed = [
            {"section": item.section, "key": item.key, "value": item.value, "source": item.source}
            for item in settings
        ]
        click.echo(json.dumps(listed, indent=1))
        return
    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for item in settings:
        table.add_row(item.name, str(item.value), item.source)
    Console(highlight=False, markup=False, soft_wrap=True).print(table)
