"""Who is best, by which measure, and where two measures disagree. Pure.

A ranking is of estimates, so two neighbours may stand in either order by chance: a disagreement says whether
the recent slice settles it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from trainer.interval import PER, holm, p_of_zero

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer.interval import Interval


@dataclass(frozen=True)
class Disagreement:
    """Two versions that another measure puts the other way round than the money of the recent slice.

    measure: "accuracy", or "hold-out"; snapshot: the digest of the latter's, else "". first: the one that the
    measure prefers. gain_per_1000: of `second` over `first` on the recent slice. p: of no gain, adjusted for
    all pairs. settled: p is below the level.
    """

    measure: str
    snapshot: str
    first: str
    second: str
    gain_per_1000: Interval
    p: float
    settled: bool


def rank(figures: Mapping[str, float]) -> list[str]:
    """Names, the highest figure first; those without a figure are left out."""
    known = {name: figure for name, figure in figures.items() if not math.isnan(figure)}
    return sorted(known, key=lambda name: (-known[name], name))


def disagreements(
    measure: str,
    figures: Mapping[str, float],
    gains: Mapping[tuple[str, str], Interval],
    level: float,
    *,
    snapshot: str = "",
) -> list[Disagreement]:
    """The pairs that `figures` put the other way round than the money does.

    gains: for each pair (a, b) the money of b over a, row by row on the recent slice. level: of all pairs
    together.
    """
    pairs = [pair for pair in gains if all(not math.isnan(figures.get(name, math.nan)) for name in pair)]
    adjusted = holm([p_of_zero(gains[pair]) for pair in pairs])
    found = []
    for pair, p in zip(pairs, adjusted, strict=True):
        first, second = pair
        gain = gains[pair]
        if (figures[first] - figures[second]) * gain.estimate <= 0:
            continue
        if figures[first] < figures[second]:
            first, second, gain = second, first, turned(gain)
        found.append(Disagreement(measure, snapshot, first, second, gain, p, p < level))
    return sorted(found, key=lambda one: -one.gain_per_1000.estimate)


def sentence(found: Disagreement, currency: str) -> str:
    """One disagreement as a person says it."""
    ending = "settled" if found.settled else "not settled by these days"
    measure = f"The hold-out of {found.snapshot[:8]}" if found.snapshot else "Accuracy"
    return (
        f"{measure} puts {found.first} above {found.second}, which on the recent slice earned {currency} "
        f"{found.gain_per_1000} per {PER:,} more ({ending})."
    )


def pairs_of(names: Sequence[str]) -> list[tuple[str, str]]:
    """Every pair, in order."""
    return list(combinations(names, 2))


def turned(gain: Interval) -> Interval:
    """The same gain seen from the other side."""
    return type(gain)(-gain.estimate, -gain.upper, -gain.lower, gain.confidence, gain.days)
