"""Streams in which something is gained: after how many rows the gate promotes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gate.procedures import passed_at, rows_until
from benchmarks.gate.streams import fraud_gain, signs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

SEED = 20_130_201
STREAMS = 500
_PART = 20
_TWO_SIDES = (1.6448536269514722 + 0.8416212335729143) ** 2
"""Of a t-test at 5 %, one-sided, that finds what is there in 80 of 100 cases."""


def until_promoted() -> list[dict[str, Any]]:
    """One candidate, an error of 5 %, looked at after every row."""
    kinds: list[tuple[str, int, int, Callable[[Generator, int, int], NDArray[np.float64]]]] = [
        ("fraud, +10 %", 160_000, 65_000, lambda rng, streams, rows: fraud_gain(rng, streams, rows, 0.10)),
        ("fraud, +5 %", 400_000, 180_000, lambda rng, streams, rows: fraud_gain(rng, streams, rows, 0.05)),
        (
            "+1 point, one row in ten differs",
            40_000,
            14_000,
            lambda rng, streams, rows: signs(rng, streams, rows, 1.0),
        ),
    ]
    found = []
    for number, (name, rows, bar, draw) in enumerate(kinds):
        rng = np.random.default_rng([SEED, number])
        when, mean, square = [], 0.0, 0.0
        for _ in range(STREAMS // _PART):
            units = draw(rng, _PART, rows)
            when.append(passed_at(units))
            mean += float(units.mean()) * _PART / STREAMS
            square += float((units**2).mean()) * _PART / STREAMS
        passed = np.concatenate(when)
        found.append(
            {
                "gain": name,
                "streams": STREAMS,
                "rows": rows,
                "half": rows_until(passed, 0.5),
                "most": rows_until(passed, 0.8),
                "bar": bar,
                "t_test": _TWO_SIDES * square / mean**2,
                "never": float((passed > rows).mean()),
            }
        )
    return found
