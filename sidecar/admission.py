"""Admission: what a bundle must pass before any engine opens it.

A graph is a program. Some kill the process that runs them, and a kilobyte can ask for gigabytes while it
loads. So the check (`sidecar.admission_check`) runs in a child process with limits on time and memory, and
whatever becomes of that process is the finding.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.bundle import open_bundle
from sidecar.domain import ModelId
from sidecar.errors import AdmissionError
from sidecar.lifecycle import ModelState, Reason, Version

if TYPE_CHECKING:
    from pathlib import Path

    from sidecar.registry import Registry

WALL_SECONDS = 30.0
MEMORY_BYTES = 4 << 30
REFUSED_EXIT = 3
"""The child's exit code when it refuses the bundle and says why."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """What the check of an admitted bundle measured. Times are CPU microseconds of one row in one run.

    transform_cpu_us: of transform.onnx. empty_cpu_us: of a graph that gives its inputs back, the least that a
    run with these fields takes. Both are medians, and all three graphs were run in turn.
    """

    model: ModelId
    nodes: int
    bytes: int
    median_cpu_us: float
    p99_cpu_us: float
    transform_cpu_us: float
    empty_cpu_us: float

    @property
    def model_cpu_us(self) -> float:
        """What score and decision cost beyond the features."""
        return round(max(0.0, self.median_cpu_us - self.transform_cpu_us), 1)

    def __str__(self) -> str:
        return (
            f"{self.model} is admitted: {self.nodes} nodes, {self.bytes:,} bytes; one row takes "
            f"{self.median_cpu_us:.0f} us of CPU (99th percentile {self.p99_cpu_us:.0f} us): transform "
            f"{self.transform_cpu_us:.0f}, model {self.model_cpu_us:.0f}; an empty graph takes "
            f"{self.empty_cpu_us:.0f}"
        )


def admit(path: Path, *, wall_seconds: float = WALL_SECONDS, memory_bytes: int = MEMORY_BYTES) -> Admitted:
    """Check the bundle at `path` in a child process with limits.

    Raises AdmissionError with the finding when the bundle must not be served.
    """
    check = [sys.executable, "-P", "-m", "sidecar.admission_check", str(path.absolute())]
    limits = [str(math.ceil(wall_seconds)), str(memory_bytes)]
    child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [*check, *limits], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        out, err = child.communicate(timeout=wall_seconds)
    except subprocess.TimeoutExpired:
        raise AdmissionError(f"the check took longer than {wall_seconds:g} s") from None
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    if child.returncode == 0:
        found = json.loads(out)
        return Admitted(**{**found, "model": ModelId(**found["model"])})
    if child.returncode == REFUSED_EXIT:
        raise AdmissionError(json.loads(out)["refused"])
    raise AdmissionError(_death(child.returncode, err, memory_bytes))


def register_and_admit(registry: Registry, path: Path, reason: Reason) -> tuple[Version, str]:
    """Register the bundle at `path`, check it, and move it to ADMITTED or REFUSED.

    The second part of the result is the finding in words. A version that was checked before keeps its
    state. Raises BundleError when there is no whole bundle to register.
    """
    version = registry.register(open_bundle(path), reason)
    if version.state is not ModelState.REGISTERED:
        return version, f"{version.model} was checked before; it is {version.state}"
    try:
        to, words = ModelState.ADMITTED, str(admit(version.path))
    except AdmissionError as error:
        to, words = ModelState.REFUSED, str(error)
    found = Reason(reason.actor, f"{reason.why}: {words}", reason.evidence_digest)
    moved = registry.move(version.model.digest, expected=ModelState.REGISTERED, to=to, reason=found)
    return moved, words


def _death(code: int, err: bytes, memory_bytes: int) -> str:
    if -code == signal.SIGXCPU:
        return "the check used up its CPU time"
    if code < 0:
        return f"the bundle kills the process that runs it ({signal.Signals(-code).name})"
    said = err.decode(errors="replace").strip().rsplit("\n", 1)[-1][:300]
    return f"the check broke off within {memory_bytes >> 20} MiB of memory: {said or f'exit code {code}'}"
