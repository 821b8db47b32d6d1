"""Errors of a command line: one line on stderr and exit code 2. `sidecar` and `trainer` share it."""

from __future__ import annotations

import sys
from typing import Any

import click

from sidecar.errors import SidecarError

FAULT = 2
"""Exit code when a command could not do its work."""
INTERRUPTED = 130


class OneLineErrors(click.Group):
    """A group of commands whose errors are one line, whatever went wrong on purpose."""

    def main(self, args: Any = None, *rest: Any, **options: Any) -> Any:
        """Run a command line, sys.argv unless given, and exit. No command at all gives the help."""
        given = sys.argv[1:] if args is None else list(args)
        options["standalone_mode"] = False
        try:
            code = super().main(given or ["--help"], *rest, **options)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else self.name
            _fail(f"{error.format_message()} (`{command} --help` explains)")
        except click.ClickException as error:
            _fail(error.format_message())
        except (SidecarError, OSError) as error:
            _fail(str(error))
        except click.Abort:
            sys.exit(INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    sys.exit(FAULT)
