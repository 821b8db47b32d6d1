"""Batches that wait for the log; bounded in rows, so that a full disk cannot fill the memory too."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from sidecar.domain import ScoreBatch, ServedBatch

if TYPE_CHECKING:
    from collections.abc import Iterable

Batch = TypeVar("Batch", ServedBatch, ScoreBatch)


class Backlog(Generic[Batch]):
    """Batches, oldest first. `capacity` is in rows and is enforced by `trim`."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._batches: deque[Batch] = deque()
        self._rows = 0

    def __len__(self) -> int:
        """Batches, not rows."""
        return len(self._batches)

    @property
    def rows(self) -> int:
        """Rows in all batches."""
        return self._rows

    def add(self, batches: Iterable[Batch]) -> None:
        """Append batches."""
        for batch in batches:
            self._batches.append(batch)
            self._rows += len(batch)

    def head(self, rows: int) -> list[Batch]:
        """The oldest batches, up to `rows` rows, but at least one batch if there is one. They stay."""
        chosen: list[Batch] = []
        for batch in self._batches:
            rows -= len(batch)
            if chosen and rows < 0:
                break
            chosen.append(batch)
        return chosen

    def remove(self, batches: int) -> int:
        """Take the oldest `batches` off; says how many rows they had."""
        rows = sum(len(self._batches.popleft()) for _ in range(batches))
        self._rows -= rows
        return rows

    def trim(self) -> int:
        """Take the oldest batches off until the rest fits the capacity; says how many rows they had."""
        rows = 0
        while self._rows > self._capacity:
            rows += self.remove(1)
        return rows
