"""The latency verdict on streams of rows that are or are not over the budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gate.procedures import DRAWN, delays, passed_at
from benchmarks.gate.streams import bursts
from trainer.latency import ALLOWED, beyond_units, block_shares, within_units

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 20_130_301
STREAMS, ROWS = 1_000, 40_000
BLOCKS = (1, 3, 20, 200)
LENGTHS = (1, 3, 20, 100)
_PART = 250


def false_passes() -> list[dict[str, Any]]:
    """One row in a hundred is over, in bursts of several lengths; looked at after every block."""
    found = []
    for number, length in enumerate(LENGTHS):
        rng = np.random.default_rng([SEED, number])
        passes = dict.fromkeys(BLOCKS, 0)
        for _ in range(STREAMS // _PART):
            slow = bursts(rng, _PART, ROWS, ALLOWED, length)
            for block in BLOCKS:
                shares = block_shares(slow, block)
                passes[block] += int((passed_at(within_units(shares)) <= shares.shape[1]).sum())
        found += [
            {"length": length, "block": block, "streams": STREAMS, "rows": ROWS, "passes": count / STREAMS}
            for block, count in passes.items()
        ]
    return found


def rows_to_pass(over: float = 0.002) -> list[dict[str, Any]]:
    """A candidate that is fast enough: rows until it is shown to be."""
    return [_rows(block, over, 250_000 if block > LENGTHS[-1] else 40_000, within=True) for block in BLOCKS]


def rows_to_flag(over: float = 0.03) -> list[dict[str, Any]]:
    """A candidate that is too slow: rows until it is turned down."""
    return [_rows(block, over, 20_000, within=False) for block in BLOCKS]


def _rows(block: int, over: float, rows: int, *, within: bool) -> dict[str, Any]:
    rng = np.random.default_rng([SEED, block, int(within)])

    def units() -> NDArray[np.float64]:
        shares = block_shares(rng.random((DRAWN, rows)) < over, block)
        return within_units(shares) if within else beyond_units(shares)

    return {"block": block, "over": over, **delays(units, block)}
