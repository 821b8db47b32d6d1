"""What counting costs for each row, on the CPU clock of the thread that counts."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.drift import ours
from benchmarks.drift import rows as data
from sidecar.profile.profile import count_rows

GATHERED = (256, 1024, 4096, 8192)
"""Rows counted at a time; the recorder gathers 4,096, or what two seconds bring."""
_ROUNDS = 30


def measure() -> dict[str, Any]:
    """Microseconds a row for 30 fields, score and decision: the median of rounds, and the least."""
    reference = ours.still_reference()
    found = []
    for size in GATHERED:
        blocks = ours.blocks_of(data.draw(size, 4, size))
        score, decision = ours.score_of(blocks)
        took = []
        for _ in range(_ROUNDS):
            began = time.thread_time_ns()
            count_rows(reference.layout, blocks, score, decision)
            took.append((time.thread_time_ns() - began) / size / 1000)
        took.sort()
        found.append({"rows": size, "median_us": round(took[_ROUNDS // 2], 3), "least_us": round(took[0], 3)})
    return {"counting": found}
