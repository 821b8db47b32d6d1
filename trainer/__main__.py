"""`trainer`, also as `python -m trainer`; says what to install when only the sidecar is installed."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from trainer.cli import main as command  # noqa: PLC0415 - what it needs may be absent
    except ModuleNotFoundError as error:
        sys.stderr.write(f"error: the trainer needs {error.name}; pip install 'model-sidecar[trainer]'\n")
        sys.exit(2)
    command(prog_name="trainer")


if __name__ == "__main__":
    main()
