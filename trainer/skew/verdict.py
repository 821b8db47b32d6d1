"""When rows carry too much of a mistake's mark to be nature, and from which row on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

MIN_ROWS = 100
"""Rows from its beginning on that a mistake is named from."""
MIN_EVIDENCE = 50.0
"""Nats beyond nature that the rows bring together: over a thousand hypotheses, odds of e^40 are left."""
MIN_LEVEL = 0.02
"""Nats a row beyond nature."""
MOST_A_ROW = 4.6
"""Nats: no single row says more than 100 to 1."""


@dataclass(frozen=True, eq=False)
class Suspicion:
    """One mistake that may have been made with one or two fields.

    kind: in one word. fields: places in the signature. words: what was done, as a part of a sentence. suspect
    and background: nats of each row for the mistake against none, float64 [rows]. facts: plain data.
    """

    kind: str
    fields: tuple[int, ...]
    words: str
    suspect: NDArray[np.float64]
    background: NDArray[np.float64]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """The mistake was made, from row `first` on.

    level: nats a row since then; natural: the most of any block of the background; evidence: nats beyond
    nature, together. explained: nats together when a row may say as much as it likes, to choose between
    mistakes.
    """

    first: int
    rows: int
    level: float
    natural: float
    evidence: float
    explained: float


def judge(suspicion: Suspicion, block: NDArray[np.int64]) -> Verdict | None:
    """Say whether the suspect's rows, in order of time, carry the mark; block: of each row of the background.

    A cumulative sum (Page, 1954) against what nature may do: as far above the worst block of the background
    as that is above the middle one, and never below zero, where the mistake explains the rows no better than
    none.
    """
    means = block_means(np.clip(suspicion.background, -MOST_A_ROW, MOST_A_ROW), block)
    worst = float(means.max())
    allowed = max(0.0, worst + (worst - float(np.median(means)))) + MIN_LEVEL
    nats = np.clip(suspicion.suspect, -MOST_A_ROW, MOST_A_ROW)
    from_here = np.cumsum((nats - allowed)[::-1])[::-1]
    first = int(np.argmax(from_here)) if len(from_here) else 0
    rows = len(nats) - first
    if rows < MIN_ROWS or from_here[first] < MIN_EVIDENCE:
        return None
    return Verdict(
        first,
        rows,
        level=float(nats[first:].mean()),
        natural=worst,
        evidence=float(from_here[first]),
        explained=float(suspicion.suspect[first:].sum()),
    )


def block_means(values: NDArray[np.float64], block: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of each block that has rows."""
    counts = np.bincount(block)
    sums = np.bincount(block, weights=values)
    return np.asarray(sums[counts > 0] / counts[counts > 0])
