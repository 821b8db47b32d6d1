"""What a client's rows are compared with: the same hours of other days, and others at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from trainer.days import DAY_NS
from trainer.skew.density import Density
from trainer.skew.membership import Steps, known
from trainer.skew.rows import AuditRows, concat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

MIN_BLOCK_ROWS = 30
MOST_ROWS = 12_000
"""Rows of the background from training, and as many from the log; of more, a sample."""


@dataclass(frozen=True, eq=False)
class Background:
    """Right rows, as far as is known, in blocks that span the same hours as the suspect's rows.

    block: int64 [rows], which block a row is in. now: the block of other clients at the same time, -1 for
    none. logged: some of the rows are from the log, so from about the same season.
    """

    rows: AuditRows
    block: NDArray[np.int64]
    now: int
    logged: bool

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def densities(self) -> tuple[Density, ...]:
        """Of each field."""
        return tuple(Density.of(column) for column in self.rows.values.T)

    @cached_property
    def steps(self) -> tuple[Steps, ...]:
        """Of each field."""
        return tuple(Steps.of(column, self.block) for column in self.rows.values.T)

    @cached_property
    def _own(self) -> dict[int, NDArray[np.float64]]:
        return {}

    @cached_property
    def in_time(self) -> AuditRows:
        """The rows in order of event_ns."""
        return self.rows.take(np.argsort(self.rows.event_ns, kind="stable"))

    def values(self, field: int) -> NDArray[np.float64]:
        """A field's values."""
        return self.rows.values[:, field]

    def log_likelihood(self, field: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """How likely such values are in a field: where they lie, and whether they are on its steps."""
        # What is said of a row is said of its value, and values repeat.
        distinct, row = np.unique(values, return_inverse=True)
        steps = self.steps[field]
        on_steps = self._log_of_steps(field, distinct, known(distinct, steps.distinct))
        return np.asarray((self.densities[field].log_likelihood(distinct) + on_steps)[row])

    def own_log_likelihood(self, field: int) -> NDArray[np.float64]:
        """The same of the right rows' own values, of each block from what the other blocks have.

        The coldest of all days is one that the others do not know, as the suspect's may be.
        """
        if field not in self._own:
            steps, values = self.steps[field], self.values(field)
            found = self._log_of_steps(field, values, steps.elsewhere[steps.row])
            for number in range(int(self.block.max()) + 1):
                here = self.block == number
                found[here] += Density.of(values[~here]).log_likelihood(values[here])
            self._own[field] = found
        return self._own[field]

    def on_steps(self, field: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """1 for a value that is on the field's steps, 0 for another or a missing one."""
        return known(values, self.steps[field].distinct).astype(np.float64)

    def own_on_steps(self, field: int) -> NDArray[np.float64]:
        """The same of the right rows' own values; on the steps is what another block has too."""
        steps = self.steps[field]
        return steps.elsewhere[steps.row].astype(np.float64)

    def _log_of_steps(
        self, field: int, values: NDArray[np.float64], on_steps: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        usual = self.steps[field].usual
        of_steps = np.where(on_steps, np.log(usual), np.log(1 - usual))
        return np.where(np.isnan(values), 0.0, of_steps)


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
    logged = [*_same_hours(earlier, *span)]
    at_the_time = now.between(*span)
    has_now = len(at_the_time) >= MIN_BLOCK_ROWS
    if has_now:
        logged.append(at_the_time)
    trained = list(_same_hours(trained_on, *span))
    blocks = [*_thinned(trained, generator), *_thinned(logged, generator)]
    if len(blocks) < 2:  # noqa: PLR2004 - one block says nothing about what others may be like
        return None
    numbers = np.repeat(np.arange(len(blocks)), [len(one) for one in blocks])
    return Background(concat(blocks), numbers, now=len(blocks) - 1 if has_now else -1, logged=bool(logged))


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
    most = max(MIN_BLOCK_ROWS, MOST_ROWS // max(len(blocks), 1))
    return [
        block.take(np.sort(generator.choice(len(block), most, replace=False))) if len(block) > most else block
        for block in blocks
    ]
