"""What a client's rows are compared with: the same hours of other days, and others at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from trainer.days import DAY_NS
from trainer.skew.density import Density
from trainer.skew.rows import AuditRows, concat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

MIN_BLOCK_ROWS = 30
MOST_ROWS = 20_000
"""Rows of the background; of more, a sample."""


@dataclass(frozen=True, eq=False)
class Background:
    """Right rows, as far as is known, in blocks that span the same hours as the suspect's rows.

    block: int64 [rows], which block a row is in. now: the block of other clients at the same time, -1 for
    none.
    """

    rows: AuditRows
    block: NDArray[np.int64]
    now: int

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def densities(self) -> tuple[Density, ...]:
        """Of each field."""
        return tuple(Density.of(column) for column in self.rows.values.T)

    def values(self, field: int) -> NDArray[np.float64]:
        """A field's values."""
        return self.rows.values[:, field]

    def known_elsewhere(self, field: int) -> NDArray[np.bool_]:
        """Of each of the field's distinct values, ascending: whether it occurs in more than one block."""
        values = self.values(field)
        distinct, place = np.unique(values, return_inverse=True)
        blocks = int(self.block.max()) + 1
        pairs = np.unique(place * blocks + self.block)
        return np.asarray((np.bincount(pairs // blocks) > 1) & ~np.isnan(distinct))


def background(
    suspect: AuditRows,
    earlier: AuditRows,
    now: AuditRows,
    trained_on: AuditRows,
    generator: np.random.Generator,
) -> Background | None:
    """Cut right rows into blocks over the suspect's hours of the day; None when there are fewer than two.

    earlier: logged before the suspect's rows; now: by others, at the same time; trained_on: of the snapshot.
    """
    span = (int(suspect.event_ns[0]), int(suspect.event_ns[-1]) + 1)
    blocks = [*_same_hours(trained_on, *span), *_same_hours(earlier, *span)]
    at_the_time = now.between(*span)
    has_now = len(at_the_time) >= MIN_BLOCK_ROWS
    if has_now:
        blocks.append(at_the_time)
    if len(blocks) < 2:  # noqa: PLR2004 - one block says nothing about what others may be like
        return None
    thinned = _thinned(blocks, generator)
    rows = concat(thinned)
    numbers = np.repeat(np.arange(len(thinned)), [len(one) for one in thinned])
    return Background(rows, numbers, now=len(thinned) - 1 if has_now else -1)


def _same_hours(rows: AuditRows, since_ns: int, until_ns: int) -> Iterator[AuditRows]:
    """The rows in the span moved by whole days, for each number of days that gives enough."""
    if not len(rows):
        return
    first = -((until_ns - int(rows.event_ns[0])) // DAY_NS)
    last = (int(rows.event_ns[-1]) - since_ns) // DAY_NS
    length = max(1, -(-(until_ns - since_ns) // DAY_NS))  # in days: blocks must not overlap
    for days in range(int(last), int(first) - 1, -length):
        block = rows.between(since_ns + days * DAY_NS, until_ns + days * DAY_NS)
        if len(block) >= MIN_BLOCK_ROWS:
            yield block


def _thinned(blocks: Sequence[AuditRows], generator: np.random.Generator) -> list[AuditRows]:
    most = max(MIN_BLOCK_ROWS, MOST_ROWS // len(blocks))
    return [
        block.take(np.sort(generator.choice(len(block), most, replace=False))) if len(block) > most else block
        for block in blocks
    ]
