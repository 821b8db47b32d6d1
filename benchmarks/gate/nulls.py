"""Streams in which nothing is gained: how often the gate promotes, and how often the usual way does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gate.procedures import passed, passed_by_t
from benchmarks.gate.streams import (
    PENNY_LOSS,
    clustered,
    fraud_null,
    pennies,
    signs,
    weekly,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

SEED = 20_130_101
STREAMS, ROWS = 2_000, 5_000
_PART = 250
"""Streams drawn at a time, so that they fit into memory."""


def looked_at_every_row() -> list[dict[str, Any]]:
    """Rows that are independent, looked at after every one."""
    kinds: dict[str, Callable[[Generator, int, int], NDArray[np.float64]]] = {
        "heavy-tailed amounts": fraud_null,
        "+-1, one row in ten differs": lambda rng, streams, rows: signs(rng, streams, rows, 0.0),
        f"pennies, and one row in a thousand loses {PENNY_LOSS:,.0f}": pennies,
    }
    found = []
    for number, (name, draw) in enumerate(kinds.items()):
        rng = np.random.default_rng([SEED, number])
        ours = theirs = 0
        for _ in range(STREAMS // _PART):
            rows = draw(rng, _PART, ROWS)
            ours += int(passed(rows).sum())
            theirs += int(passed_by_t(rows).sum())
        found.append(
            {
                "null": name,
                "streams": STREAMS,
                "rows": ROWS,
                "gate": ours / STREAMS,
                "t_test": theirs / STREAMS,
            }
        )
    return found


def seasonal(streams: int = 2_000, weeks: int = 13, units_a_day: int = 40) -> dict[str, Any]:
    """A gain on five days that two days take back, read at the end of weeks, and after every day."""
    rng = np.random.default_rng([SEED, 10])
    at_ends = any_day = 0
    for _ in range(streams // _PART):
        units = weekly(rng, _PART, weeks, units_a_day).reshape(_PART, -1)
        at_ends += int(passed(units, 7 * units_a_day).sum())
        any_day += int(passed(units, units_a_day).sum())
    return {
        "streams": streams,
        "weeks": weeks,
        "units_a_day": units_a_day,
        "gate": at_ends / streams,
        "any_day": any_day / streams,
    }


def in_clusters(streams: int = 2_000, clusters: int = 300, rows: int = 20) -> dict[str, Any]:
    """Entities whose rows win or lose together, with entities as units, and with rows as units."""
    rng = np.random.default_rng([SEED, 20])
    ours = by_row = 0
    for _ in range(streams // _PART):
        drawn = clustered(rng, _PART, clusters, rows)
        ours += int(passed(drawn.sum(axis=2) / rows).sum())
        by_row += int(passed(drawn.reshape(_PART, -1)).sum())
    return {
        "streams": streams,
        "clusters": clusters,
        "rows": rows,
        "gate": ours / streams,
        "by_row": by_row / streams,
    }
