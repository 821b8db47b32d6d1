"""The installed `trainer` command in a process of its own, for tests."""

import json
import os
import subprocess
import sys
from pathlib import Path

TRAINER = Path(sys.executable).with_name("trainer")
ACTOR = "ada"


def run_trainer(home: Path, *arguments: str):
    """One command on a sidecar's home, as a person runs it."""
    return subprocess.run(
        [TRAINER, *arguments],
        env={**os.environ, "SIDECAR_HOME": str(home), "SIDECAR_ACTOR": ACTOR, "COLUMNS": "200"},
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def trainer(home: Path, *arguments: str) -> dict:
    """What a command that goes well says with --json."""
    result = run_trainer(home, *arguments, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def trainer_error(home: Path, *arguments: str) -> str:
    """The one line of a command that is refused."""
    result = run_trainer(home, *arguments)
    assert result.returncode == 2, result.stdout
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line.removeprefix("error: ")
