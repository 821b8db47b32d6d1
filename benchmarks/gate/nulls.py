"""Streams in which nothing is gained: how often the gate promotes, and how often the usual way does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gate.procedures import ERROR, passed, passed_by_t
from benchmarks.gate.streams import (
    AMOUNT_CAP,
    PENNY_LOSS,
    amounts,
    clustered,
    fraud_null,
    mean_amount,
    pennies,
    signs,
    weekly,
)
from trainer.betting import capital_paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

SEED = 20_130_101
STREAMS, ROWS = 2_000, 5_000
PATIENCE_DAYS = 7
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


def late_labels(streams: int = 400, days: int = 60, a_day: int = 100) -> list[dict[str, Any]]:
    """Frauds are known after up to 30 days, good ones only when those are over, and nothing is gained.

    One in five of the payments on which the two differ is fraud. To stop one saves its amount, and to stop a
    good one costs so much that the two cancel. Looked at after every day, on what is known by then.
    """
    rng = np.random.default_rng([SEED, 30])
    mature, fraud_share = 30, 0.2
    cost = fraud_share / (1 - fraud_share) * mean_amount() / AMOUNT_CAP
    born = np.arange(days)[:, None] + np.zeros((days, a_day), np.int64)
    found = []
    # One that blocks more is right on frauds; one that blocks less is right on good payments.
    for name, sign in (("blocks more", 1.0), ("blocks less", -1.0)):
        ours = naive = 0
        for _ in range(streams):
            fraud = rng.random((days, a_day)) < fraud_share
            gain = sign * np.where(fraud, amounts(rng, fraud.shape) / AMOUNT_CAP, -cost)
            known_after = np.where(fraud, rng.integers(0, mature, fraud.shape), mature)
            ours += _read_daily(days, born + mature, gain)
            if name == "blocks more":
                naive += _read_daily(days, born + known_after, gain)
            else:
                guessed = np.where(known_after > PATIENCE_DAYS, cost, gain)
                naive += _read_daily(days, born + np.minimum(known_after, PATIENCE_DAYS), guessed)
        found.append({"candidate": name, "streams": streams, "gate": ours, "naive": naive})
    return found


def _read_daily(days: int, known_on: NDArray[np.int64], gain: NDArray[np.float64]) -> bool:
    """Whether the bets pass on some day, on all rows known by then."""
    order = np.argsort(known_on, axis=None, kind="stable")
    rows = gain.ravel()[order]
    ends = np.searchsorted(known_on.ravel()[order], np.arange(days), side="right")
    usable = ends[-1]
    if usable == 0:
        return False
    path = capital_paths(rows[None, :usable])[0]
    return bool((path[ends[ends > 0] - 1] >= -np.log(ERROR)).any())
