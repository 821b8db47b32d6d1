"""Closed-loop load by h2load, which knows HTTP/2 and no gRPC: it takes every HTTP 200 for a success.

So each run is held against the bytes of the replies: gRPC errors come without any.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.payload import Payload

WARM_UP_SECONDS = 0.5
_PATIENCE_SECONDS = 60.0
_FRAME_BYTES = 5
_LEAST_SHARE = 0.98  # of the bytes that answers to all would have; some calls are cut off at the end
_MICROSECONDS = {"us": 1.0, "ms": 1e3, "s": 1e6}
_FINISHED = re.compile(r"finished in .*?, ([\d.]+) req/s")
_REQUESTS = re.compile(r"requests: (\d+) total.* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout")
_DATA = re.compile(r"\((\d+)\) data")
_TIME = re.compile(r"time for request:\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)\b")


class LoadError(Exception):
    """The load was not answered as it should have been, so its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Shape:
    """connections x streams: how many calls are in progress at any time."""

    connections: int
    streams: int

    def __str__(self) -> str:
        return f"{self.connections}x{self.streams}"


@dataclass(frozen=True, slots=True)
class Closed:
    """What one run gave. median_us: only where every request was logged."""

    requests: int
    rate: float
    mean_us: float
    median_us: float | None


def command(address: str, payload: Payload, body: Path, shape: Shape, seconds: float) -> list[str]:
    """The command that `run` runs."""
    return [
        *("h2load", "-c", str(shape.connections), "-m", str(shape.streams)),
        *("-D", f"{seconds * 1000:.0f}ms", f"--warm-up-time={WARM_UP_SECONDS * 1000:g}ms"),
        *("-H", "content-type: application/grpc", "-H", "te: trailers"),
        *(["-d", str(body)] if body.stat().st_size else []),
        f"http://{address}{payload.method}",
    ]


def run(
    address: str,
    payload: Payload,
    folder: Path,
    shape: Shape,
    *,
    seconds: float,
    reply_bytes: int,
    log: bool = False,
    prefix: Sequence[str] = (),
) -> Closed:
    """Load for so many seconds. log: keep each request's time, which slows h2load when there are many.

    reply_bytes: the length of a reply's message. prefix: a command to run it by, such as taskset. Raises
    LoadError when calls failed.
    """
    times = folder / "h2load.log"
    extra = [f"--log-file={times}"] if log else []
    parts = command(address, payload, payload.write(folder), shape, seconds)
    times.unlink(missing_ok=True)
    done = subprocess.run(  # noqa: S603 - our own command
        [*prefix, parts[0], *extra, *parts[1:]],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + _PATIENCE_SECONDS,
    )
    if done.returncode:
        raise LoadError(f"h2load: {done.stderr.strip() or done.stdout.strip()}")
    return read_summary(done.stdout, reply_bytes, _median_us(times) if log else None)


def read_summary(text: str, reply_bytes: int, median_us: float | None = None) -> Closed:
    """Read what h2load prints. Raises LoadError when calls failed, or their replies were too short."""
    finished, requests = _FINISHED.search(text), _REQUESTS.search(text)
    data, mean = _DATA.search(text), _TIME.search(text)
    if not (finished and requests and data and mean):
        raise LoadError(f"h2load printed something else: {text[-500:]}")
    total, succeeded, *bad = map(int, requests.groups())
    if not total or total != succeeded or any(bad):
        raise LoadError(f"h2load: {requests[0]}")
    if int(data[1]) < _LEAST_SHARE * total * (reply_bytes + _FRAME_BYTES):
        raise LoadError(f"{total} replies of {reply_bytes} bytes should be more than {data[1]} bytes")
    return Closed(total, float(finished[1]), float(mean[1]) * _MICROSECONDS[mean[2]], median_us)


def available() -> bool:
    """Whether h2load is installed."""
    return shutil.which("h2load") is not None


def _median_us(times: Path) -> float:
    # Columns: start in microseconds, HTTP status, duration in microseconds.
    return median(int(line.split(b"\t")[2]) for line in times.read_bytes().splitlines())
