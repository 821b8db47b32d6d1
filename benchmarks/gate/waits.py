"""A canary's callers: how soon it is ended that keeps them waiting, and how often one that does not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gate.procedures import DRAWN, ERROR, delays, passed_at, passed_by_t
from benchmarks.gate.streams import bursts
from trainer.latency import ALLOWED, block_shares
from trainer.latency import beyond_units as beyond_alone
from trainer.waits import Blocks, beyond_units, within_units

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

SEED = 20_130_501
STREAMS, CALLS = 500, 200_000
SHARE = 0.05
BLOCK = 20
"""Calls of the canary in a block, on average."""
SHARES = 3
"""Of the policy's canary; they divide the error."""
LENGTHS = (1, 20, 200)
BUSY, BUSY_SLOW = 20_000, 0.3
"""Calls of an hour, of which every fourth is busy, and the share of slow ones in it."""
STALLS, STALLED = 0.1, 0.9
"""The share of blocks in which the champion stalls, and of its calls in them that are slow; no others are."""
STEADY = (0.05, STALLS * STALLED)
"""Beside it, the share of the canary's calls that are slow in every block."""
_PART = 100


def canaries() -> dict[str, Any]:
    """Canaries that are no worse on average, that are at the limit, and that are better or worse than it."""
    return {
        "streams": STREAMS,
        "calls": CALLS,
        "share": SHARE,
        "block": BLOCK,
        "wanted": SHARES / ERROR,
        "stalls": STALLS * STALLED,
        "null": [_null(number, length) for number, length in enumerate((*LENGTHS, None))],
        "stalling": [_stalling(number, steady) for number, steady in enumerate(STEADY)],
        "limit": [_limit(number, length) for number, length in enumerate((1, 20, 100))],
        "worse": [_until(number, 0.01, slow, within=False) for number, slow in enumerate((0.04, 0.11, 0.51))],
        "alike": _until(3, 0.002, 0.002, within=True),
    }


def _null(number: int, length: int | None) -> dict[str, Any]:
    """Waits do not depend on who answers. length: of bursts, in calls; None for busy hours."""
    rng = np.random.default_rng([SEED, number])
    found: Counter[str] = Counter()
    for _ in range(STREAMS // _PART):
        slow = _busy(rng) if length is None else bursts(rng, _PART, CALLS, ALLOWED, length)
        found.update(_ended(slow, _drawn(rng, CALLS)))
    return {"length": length, **{name: count / STREAMS for name, count in found.items()}}


def _stalling(number: int, steady: float) -> dict[str, Any]:
    """The champion stalls in whole blocks; the canary is slow now and then, no more often in all."""
    rng = np.random.default_rng([SEED, 300 + number])
    block = round(BLOCK / SHARE)
    found: Counter[str] = Counter()
    for _ in range(STREAMS // _PART):
        own = _drawn(rng, CALLS)
        stalled = np.repeat(rng.random((_PART, CALLS // block)) < STALLS, block, axis=1)
        slow = rng.random(own.shape, np.float32) < np.where(own, steady, stalled * STALLED)
        found.update(_ended(slow, own))
    return {"steady": steady, **{name: count / STREAMS for name, count in found.items()}}


def _ended(slow: NDArray[np.bool_], own: NDArray[np.bool_]) -> dict[str, int]:
    """How many streams are ended: by the bets, by them without their tolerance, and in other ways."""
    blocks = Blocks.of(slow, own, round(BLOCK / SHARE))
    by_itself = (block_shares(slow[one, own[one]], BLOCK) for one in range(len(slow)))
    return {
        "ended": _ends(beyond_units(blocks)),
        "strict": _ends(beyond_units(blocks, allowed=0.0)),
        "told": _ends(_told(blocks)),
        "by_t": int(passed_by_t(np.nan_to_num(blocks.more), least=20).sum()),
        "alone": sum(_ends(beyond_alone(shares)[None]) for shares in by_itself),
    }


def _told(blocks: Blocks) -> NDArray[np.float64]:
    """Units for a stake by the number of slow calls: divided by what is lost when all are the champion's."""
    at_stake = np.minimum(blocks.slow / (blocks.size - blocks.answered), 1.0) + ALLOWED
    return np.asarray(np.nan_to_num((blocks.more - ALLOWED) / at_stake))


def _limit(number: int, length: int) -> dict[str, Any]:
    """Only the canary's calls are slow, one in a hundred, in bursts of its own."""
    rng = np.random.default_rng([SEED, 100 + number])
    passes = ended = 0
    for _ in range(STREAMS // _PART):
        own = _drawn(rng, CALLS)
        place = np.cumsum(own, axis=1, dtype=np.int64)
        slow = bursts(rng, _PART, int(place.max()) + 1, ALLOWED, length)
        blocks = Blocks.of(own & np.take_along_axis(slow, place, axis=1), own, round(BLOCK / SHARE))
        passes += int((passed_at(within_units(blocks)) <= CALLS * SHARE // BLOCK).sum())
        ended += _ends(beyond_units(blocks))
    return {"length": length, "passes": passes / STREAMS, "ended": ended / STREAMS}


def _until(number: int, champion: float, canary: float, *, within: bool) -> dict[str, Any]:
    """Calls of the canary until it is shown to be no slower, or ended; independent calls."""
    rng = np.random.default_rng([SEED, 200 + number])

    def units() -> NDArray[np.float64]:
        own = rng.random((DRAWN, 4 * CALLS)) < SHARE
        slow = rng.random(own.shape) < np.where(own, canary, champion)
        blocks = Blocks.of(slow, own, round(BLOCK / SHARE))
        return within_units(blocks) if within else beyond_units(blocks)

    error = ERROR if within else ERROR / SHARES
    return {"champion": champion, "canary": canary, **delays(units, BLOCK, error)}


def _ends(units: NDArray[np.float64]) -> int:
    return int((passed_at(units, ERROR / SHARES) <= units.shape[1]).sum())


def _drawn(rng: Generator, calls: int) -> NDArray[np.bool_]:
    return np.asarray(rng.random((_PART, calls), np.float32) < SHARE)


def _busy(rng: Generator) -> NDArray[np.bool_]:
    busy = np.arange(CALLS) // BUSY % 4 == 0
    return np.asarray(busy & (rng.random((_PART, CALLS), np.float32) < BUSY_SLOW))
