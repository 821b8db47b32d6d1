"""What a result was measured on and with."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.environments import HERE, ROOT

_OWN = ("onnxruntime", "grpcio", "uvloop", "protobuf", "numpy")
_OF_PEERS = {
    "grpcio": ("grpcio", "uvloop", "onnxruntime"),
    "pygrpc_native": ("pygrpc-native", "onnxruntime"),
    "mlserver": ("mlserver", "grpcio", "onnxruntime"),
    "kserve": ("kserve", "grpcio", "onnxruntime"),
}
_MEASURED = (":!benchmarks/results", ":!docs")
"""All but what measuring itself writes."""
_PINNED = re.compile(r"^([a-z0-9-]+)==([^ \\;]+)", re.MULTILINE)


def describe() -> dict[str, Any]:
    """Machine, versions and commit, as plain data."""
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _said("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"),
        "changed": bool(_said("git", "-C", str(ROOT), "status", "--porcelain", "--", *_MEASURED)),
        "machine": {
            "processor": _processor(Path("/proc/cpuinfo")),
            "virtual": "hypervisor" in Path("/proc/cpuinfo").read_text(),
            "cores": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
            "kernel": platform.release(),
            "system": _first(Path("/etc/os-release"), r'PRETTY_NAME="(.+)"'),
            "load_before": os.getloadavg()[0],
        },
        "versions": {
            "python": platform.python_version(),
            "h2load": _said("h2load", "--version"),
            "rustc": _said("rustc", "--version"),
            "sidecar": {name: version(name) for name in _OWN},
            **{peer: _locked(peer, names) for peer, names in _OF_PEERS.items()},
        },
    }


def _processor(cpuinfo: Path) -> str:
    """Its name; and family and model, for a virtual machine's name often leaves out which one it is."""
    name, family, model = (
        _first(cpuinfo, rf"^{key}\s*:\s*(.+)$") for key in ("model name", "cpu family", "model")
    )
    return name if "unknown" in (family, model) else f"{name} (family {family}, model {model})"


def _locked(peer: str, names: tuple[str, ...]) -> dict[str, str]:
    found = dict(_PINNED.findall((HERE / "peers" / f"{peer}.txt").read_text()))
    return {name: found[name] for name in names}


def _first(file: Path, pattern: str) -> str:
    found = re.search(pattern, file.read_text(), re.MULTILINE)
    return found[1].strip() if found else "unknown"


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""
