"""The `sidecar` command."""

from __future__ import annotations

import sys

import click

from sidecar import __version__
from sidecar.cli.config import config
from sidecar.cli.log import log
from sidecar.cli.predict import predict
from sidecar.cli.serve import serve
from sidecar.cli.status import status
from sidecar.errors import SidecarError

EXIT_ERROR = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sidecar")
def commands() -> None:
    """Serve one ONNX model beside an application, and score candidates on the same live traffic.

    Settings come from one TOML file (--config, else SIDECAR_CONFIG, else ./sidecar.toml if there is one)
    and from SIDECAR_... variables; `sidecar config` shows them. Everything lies in the folder `home`.

    Errors are one line on standard error, with exit code 2.
    """


for command in (serve, config, status, predict, log):
    commands.add_command(command)


def main() -> None:
    """Run the command line; the one place where errors become a line and an exit code."""
    try:
        commands.main(prog_name="sidecar", standalone_mode=False)
    except SidecarError as error:
        _fail(str(error))
    except click.Abort:
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(EXIT_ERROR)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "sidecar"
        _fail(f"{error.format_message()} (`{command} --help` explains)")
    except click.ClickException as error:
        _fail(error.format_message())


def _fail(message: str) -> None:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    sys.exit(EXIT_ERROR)
