"""A run of served rows that travels to a candidate; cut only between the champion's inference calls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.domain import ServedBatch
    from sidecar.signature import Blocks


def call_ends(group: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where each inference call ends: the index after its last row. Calls are runs of equal `group`."""
    return np.append(np.flatnonzero(group[1:] != group[:-1]) + 1, len(group))


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Rows `start` to `stop` of a batch.

    signature: digest of its champion's signature, None when not known.
    """

    batch: ServedBatch
    start: int
    stop: int
    signature: str | None

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def request_ids(self) -> NDArray[np.bytes_]:
        """One a row."""
        return self.batch.request_ids[self.start : self.stop]

    @property
    def blocks(self) -> Blocks:
        """The raw rows."""
        return self.batch.blocks.take(slice(self.start, self.stop)).with_used_texts()

    @property
    def group(self) -> NDArray[np.int64]:
        """The inference call of each row."""
        return self.batch.group[self.start : self.stop]

    def cut(self, row: int) -> tuple[Chunk, Chunk]:
        """The first `row` rows, and the rest."""
        middle = self.start + row
        return replace(self, stop=middle), replace(self, start=middle)

    def whole_calls(self, rows: int) -> int:
        """How many rows the first calls have that together are `rows` at most."""
        if len(self) <= rows:
            return len(self)
        ends = call_ends(self.group[: rows + 1])[:-1]
        return int(ends[-1]) if len(ends) else 0

    def first_call(self) -> int:
        """How many rows the first call has."""
        return int(call_ends(self.group)[0])
