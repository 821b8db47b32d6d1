"""`sidecar log query`, `export` and `seal`: rows by name, and rows out of SQLite."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidecar.cli.numbers import WholeNumber
from sidecar.cli.options import with_config
from sidecar.errors import InvalidRequestError
from sidecar.registry import Registry
from sidecar.store.extract import KINDS, Condition, Selection, lines, select, write
from sidecar.store.layout import Layouts
from sidecar.store.parquet import RESERVED
from sidecar.store.reader import LogReader
from sidecar.store.seal import seal as seal_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.config import Config


def _moment_ns(_context: click.Context, _option: click.Parameter, given: datetime | None) -> int | None:
    if given is None:
        return None
    whole = int(given.replace(tzinfo=UTC, microsecond=0).timestamp())
    return whole * 10**9 + given.microsecond * 1000


def _selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command the options of a Selection."""
    formats = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f"]
    moment = click.DateTime(formats)
    for option in (
        click.option("--where", multiple=True, metavar="CONDITION", help="COLUMN>=VALUE; may be repeated."),
        click.option("--model", help="A version's digest, or the beginning of it."),
        click.option("--until", type=moment, callback=_moment_ns, help="Before this time (UTC)."),
        click.option("--since", type=moment, callback=_moment_ns, help="From this time (UTC) on."),
        click.option("--rows", "kind", type=click.Choice(KINDS), default=KINDS[0], show_default=True),
    ):
        command = option(command)
    return command


@click.command()
@_selection
@click.option("-n", "--limit", type=WholeNumber(1), default=20, show_default=True, help="At most so many.")
@with_config
def query(config: Config, *, limit: int, **selected: Any) -> None:
    """Print rows as JSON lines, with fields and features by name, oldest first.

    Times are those of the events, for outcomes of their observation; scores have none. For SQL point DuckDB,
    or another tool, at the Parquet files in the folder `log`.
    """
    with LogReader(config.log_path) as reader:
        for line in islice(lines(select(reader, _layouts(config), _read(config, **selected))), limit):
            click.echo(line)


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@_selection
@with_config
def export(config: Config, *, path: Path, **selected: Any) -> None:
    """Write rows into the new file PATH, which ends with .parquet, .csv or .jsonl."""
    with LogReader(config.log_path) as reader:
        rows = write(select(reader, _layouts(config), _read(config, **selected)), path)
    click.echo(f"{rows:,} rows in {path}")


@click.command()
@with_config
def seal(config: Config) -> None:
    """Move all rows into Parquet files now; a sidecar that runs does so by itself, see [log]."""
    LogReader(config.log_path).close()  # says what is wrong when there is no log
    moved = seal_log(config.log_path, config.registry_path)
    click.echo(f"{moved.rows:,} rows sealed in {moved.files} files, {moved.bytes:,} bytes")


def _layouts(config: Config) -> Layouts:
    return Layouts(config.registry_path, RESERVED)


def _read(
    config: Config,
    *,
    kind: str,
    since: int | None,
    until: int | None,
    model: str | None,
    where: tuple[str, ...],
) -> Selection:
    if model is not None:
        with Registry(config.registry_path) as registry:
            model = registry.find(model).model.digest
    if since is not None and until is not None and since >= until:
        raise InvalidRequestError("--since is not before --until; exchange them")
    return Selection(kind, since, until, model, tuple(Condition.parse(text) for text in where))
