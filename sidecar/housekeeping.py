"""The program that seals older rows of a log and drops surplus ones, once.

    python -m sidecar.housekeeping '{"log": "...", "seal": true, ...}'

Started by `sidecar.sealer`. Prints one line when it did something. It may be killed at any moment.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sidecar.config import Log
from sidecar.errors import SidecarError
from sidecar.store.retention import drop_surplus
from sidecar.store.seal import seal

if TYPE_CHECKING:
    from collections.abc import Mapping

_NICE = 10
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Orders:
    """What to do. log, registry: paths. settings: the fields of `config.Log`."""

    log: str
    registry: str
    seal: bool
    settings: Mapping[str, Any]

    def to_json(self) -> str:
        """As the program's argument."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        return cls(**json.loads(text))


def main(orders: Orders) -> int:
    """Follow the orders; the exit code is 1 when something failed, which standard error says."""
    os.nice(_NICE)
    log, settings = Path(orders.log), Log(**orders.settings)
    done = []
    try:
        if orders.seal:
            moved = seal(log, Path(orders.registry))
            done.append(f"{moved.rows:,} rows sealed in {moved.files} files, {moved.bytes / _MB:.1f} MB")
        dropped = drop_surplus(log, settings, time.time_ns())
        if dropped:
            done.append(f"{dropped / _MB:.1f} MB dropped")
    except SidecarError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if done:
        sys.stdout.write("; ".join(done) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Orders.from_json(sys.argv[1])))
