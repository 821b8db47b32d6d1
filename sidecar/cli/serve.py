"""`sidecar serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sidecar.cli.options import with_config

if TYPE_CHECKING:
    from sidecar.config import Config


@click.command()
@with_config
def serve(config: Config) -> None:
    """Serve until SIGTERM or Ctrl-C, then drain.

    Prints where it listens and then "ready"; logs to standard error. It serves the champion in the
    registry, follows every change there, and waits for a first champion if there is none yet. A second
    signal ends it at once.
    """
    from sidecar.serve import run  # noqa: PLC0415 - ONNX Runtime takes a moment that no other command needs

    run(config, click.echo)
