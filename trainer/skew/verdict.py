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
MIN_EVIDENCE = 60.0
"""Nats beyond nature that the rows bring together. Rows of one hour are alike, so they count for fewer."""
MIN_HOURS = 6
"""Hours that must speak for a mistake whose mark all rows of an hour share: a strange hour proves nothing."""
MIN_LEVEL = 0.02
"""Nats a row beyond nature."""
MOST_OFF_STEPS = 0.1
"""Share of values that may be off the field's steps, beyond the worst block of right rows."""
MOST_A_ROW = 4.6
"""Nats: no single row says more than 100 to 1."""


@dataclass(frozen=True, eq=False)
class Fit:
    """What each row is like, of the suspect's with the mistake undone, and of right rows as they are.

    undone, right: log-likelihood. on_steps, right_on_steps: the share of its values that are known ones.
    """

    undone: NDArray[np.float64]
    right: NDArray[np.float64]
    on_steps: NDArray[np.float64]
    right_on_steps: NDArray[np.float64]

    def is_right(self, first: int, block: NDArray[np.int64]) -> bool:
        """Whether the rows from `first` on could be a block of right ones."""
        likely, known = block_means(self.right, block), block_means(self.right_on_steps, block)
        least = 2 * float(likely.min()) - float(np.median(likely)) - MIN_LEVEL
        return bool(
            self.undone[first:].mean() >= least
            and self.on_steps[first:].mean() >= float(known.min()) - MOST_OFF_STEPS
        )


@dataclass(frozen=True, eq=False)
class Suspicion:
    """One mistake that may have been made with one or two fields.

    kind: in one word. fields: places in the signature. words: what was done, as a part of a sentence. suspect
    and background: nats of each row for the mistake against none, float64 [rows]. facts: plain data. fit:
    where the mistake can be undone, whether right rows come out. by_hour: whether rows of one hour share the
    mark.
    """

    kind: str
    fields: tuple[int, ...]
    words: str
    suspect: NDArray[np.float64]
    background: NDArray[np.float64]
    facts: Mapping[str, Any]
    fit: Fit | None = None
    by_hour: bool = False


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


def judge(suspicion: Suspicion, hour: NDArray[np.int64], block: NDArray[np.int64]) -> Verdict | None:
    """Say whether the suspect's rows, in order of time, carry the mark.

    hour: of each of them. block: of each row of the background.

    A cumulative sum (Page, 1954) against what nature may do: as far above the worst block of the background
    as that is above the middle one, and never below zero, where the mistake explains the rows no better than
    none. The sum begins where it is greatest, so it is held against the blocks' own greatest sums in the same
    way: a dry afternoon is no dry day. And with the mistake undone the rows must be like right ones.
    """
    if not promising(suspicion.suspect):
        return None
    right = np.clip(suspicion.background, -MOST_A_ROW, MOST_A_ROW)
    means = block_means(right, block)
    worst = float(means.max())
    allowed = max(0.0, _beyond(means)) + MIN_LEVEL
    nats = np.clip(suspicion.suspect, -MOST_A_ROW, MOST_A_ROW)
    from_here = _sums_to_the_end(nats - allowed)
    first = int(np.argmax(from_here))
    rows = len(nats) - first
    by_nature = _beyond(_greatest_sums(right - allowed, block, len(nats)))
    if rows < MIN_ROWS or from_here[first] < max(MIN_EVIDENCE, by_nature):
        return None
    if suspicion.by_hour and _hours_for(nats[first:] - allowed, hour[first:]) < MIN_HOURS:
        return None
    if suspicion.fit is not None and not suspicion.fit.is_right(first, block):
        return None
    return Verdict(
        first,
        rows,
        level=float(nats[first:].mean()),
        natural=worst,
        evidence=float(from_here[first]),
        explained=float(suspicion.suspect[first:].sum()),
    )


def _beyond(blocks: NDArray[np.float64]) -> float:
    """As far above the worst of the blocks as that is above the middle one."""
    worst = float(blocks.max())
    return worst + (worst - float(np.median(blocks)))


def _sums_to_the_end(nats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each row, the sum from it on."""
    return np.cumsum(nats[::-1])[::-1]


def _greatest_sums(values: NDArray[np.float64], block: NDArray[np.int64], rows: int) -> NDArray[np.float64]:
    """Of each block the greatest sum to its end, 0 at least, as if it had so many rows."""
    parts = (values[block == number] for number in np.unique(block))
    return np.array([max(0.0, float(_sums_to_the_end(part).max())) * rows / len(part) for part in parts])


def _hours_for(nats: NDArray[np.float64], hour: NDArray[np.int64]) -> int:
    _, which = np.unique(hour, return_inverse=True)
    return int(np.count_nonzero(np.bincount(which, weights=nats) > 0))


def promising(nats: NDArray[np.float64]) -> bool:
    """Whether the last of these rows could be enough, if nature did nothing of the kind."""
    if len(nats) < MIN_ROWS:
        return False
    from_here = _sums_to_the_end(np.clip(nats, -MOST_A_ROW, MOST_A_ROW))
    return bool(from_here[: len(nats) - MIN_ROWS + 1].max() >= MIN_EVIDENCE)


def block_means(values: NDArray[np.float64], block: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of each block that has rows."""
    counts = np.bincount(block)
    sums = np.bincount(block, weights=values)
    return np.asarray(sums[counts > 0] / counts[counts > 0])
