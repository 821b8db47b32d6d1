"""The `sidecar` command."""

from __future__ import annotations

import click

from sidecar import __version__
from sidecar.cli.config import config
from sidecar.cli.drift import drift
from sidecar.cli.log import log
from sidecar.cli.one_line_errors import OneLineErrors
from sidecar.cli.predict import predict
from sidecar.cli.serve import serve
from sidecar.cli.status import status


@click.group("sidecar", cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sidecar")
def main() -> None:
    """Serve one ONNX model beside an application, and score candidates on the same live traffic.

    Settings come from one TOML file (--config, else SIDECAR_CONFIG, else ./sidecar.toml if there is one)
    and from SIDECAR_... variables; `sidecar config` shows them. Everything lies in the folder `home`.

    Errors are one line on standard error, with exit code 2.
    """


for command in (serve, config, status, predict, log, drift):
    main.add_command(command)
