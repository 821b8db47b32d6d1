"""A virtual environment for each peer: they need versions of the same packages that exclude each other."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
WORK = ROOT / "var" / "benchmarks"
"""What benchmarks make and can make again."""


def environment(name: str) -> Path:
    """The environment of peers/<name>.txt, made when it is absent or of another lock; returns its `bin`."""
    lock = HERE / "peers" / f"{name}.txt"
    folder = WORK / "environments" / name
    ready = folder / "ready"
    if not ready.exists() or ready.read_text() != lock.read_text():
        print(f"making the environment of {name} (once)", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(folder))
        _run(
            *(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"),
            # The lock names everything. Left to look for itself, pip asks a hash of pandas[parquet] anew.
            *("--disable-pip-version-check", "--no-deps", "--require-hashes", "-r", str(lock)),
        )
        ready.write_text(lock.read_text())
    return folder / "bin"


def _run(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603 - our own commands
