"""Open-loop load by our own generator, benchmarks/load: arrival times are fixed before the first call."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.environments import HERE, WORK
from benchmarks.h2load import LoadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from benchmarks.payload import Payload

_HEAD = struct.Struct("<QQ")


@dataclass(frozen=True, slots=True)
class Open:
    """What one run gave; times in microseconds. ends: calls by grpc-status, "0" is well."""

    sent: int
    achieved_rate: float
    ends: Mapping[str, int]
    latency_us: Mapping[str, float]
    lateness_us: Mapping[str, float] | None

    @property
    def failed(self) -> int:
        """Calls that did not end with status 0."""
        return self.sent - self.ends.get("0", 0)


def build() -> Path:
    """Build the generator where that is needed; returns the program."""
    target = WORK / "load"
    cargo = shutil.which("cargo")
    if cargo is None:
        raise LoadError("cargo is not installed; the open loop needs it to build benchmarks/load")
    manifest = str(HERE / "load" / "Cargo.toml")
    subprocess.run(  # noqa: S603 - our own command
        [cargo, "build", "--quiet", "--release", "--locked", "--manifest-path", manifest],
        env=os.environ | {"CARGO_TARGET_DIR": str(target)},
        check=True,
    )
    return target / "release" / "load"


def command(program: Path, target: str, payload: Payload, body: Path, *options: str) -> list[str]:
    """The command that `run` runs. target: host:port or unix:path."""
    return [
        str(program),
        *("--target", target, "--method", payload.method, "--body", str(body)),
        *options,
    ]


def at_rate(rate: float, seconds: float, warm_up: float = 1.0) -> tuple[str, ...]:
    """Options for calls that arrive as independent callers' do, at `rate` a second on average."""
    return ("--rate", f"{rate:.0f}", "--seconds", f"{seconds:g}", "--warm-up", f"{warm_up:g}")


def run(
    program: Path,
    target: str,
    payload: Payload,
    folder: Path,
    *options: str,
    prefix: Sequence[str] = (),
) -> Open:
    """Load, and tell what came of it, errors too. Raises LoadError when the generator itself failed.

    prefix: a command to run it by, such as taskset.
    """
    parts = [*prefix, *command(program, target, payload, payload.write(folder), *options)]
    done = subprocess.run(parts, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        raise LoadError(done.stderr.strip())
    return read_report(done.stdout)


def read_report(text: str) -> Open:
    """Read what the generator prints."""
    found = json.loads(text)
    return Open(
        sent=found["sent"],
        achieved_rate=found["achieved_rate"],
        ends=found["ends"],
        latency_us=found["latency_us"],
        lateness_us=found["lateness_us"],
    )


def read_replies(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The latency in nanoseconds and the message of each kept reply."""
    place = 0
    while place < len(content):
        latency_ns, length = _HEAD.unpack_from(content, place)
        place += _HEAD.size
        yield latency_ns, content[place : place + length]
        place += length
