"""A bounded sample of the log's rows, with what the champion made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.signature import Blocks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from sidecar.domain import ServedBatch

_SEED = 0


@dataclass(frozen=True, eq=False)
class LoggedRows:
    """Rows as they were served; arrays as in `ServedBatch`. of: how many rows the sample was taken from."""

    event_ns: NDArray[np.int64]
    client: NDArray[np.object_]
    blocks: Blocks
    features: NDArray[np.float32]
    score: NDArray[np.float32]
    decision: NDArray[np.bool_]
    of: int

    def __len__(self) -> int:
        return len(self.event_ns)

    def take(self, rows: Any) -> LoggedRows:
        """The rows that a slice or mask selects."""
        return LoggedRows(
            event_ns=self.event_ns[rows],
            client=self.client[rows],
            blocks=self.blocks.take(rows),
            features=self.features[rows],
            score=self.score[rows],
            decision=self.decision[rows],
            of=self.of,
        )


def logged_rows(batch: ServedBatch) -> LoggedRows:
    """The rows of one batch."""
    return LoggedRows(
        event_ns=batch.event_ns,
        client=batch.client,
        blocks=batch.blocks,
        features=batch.features,
        score=batch.score,
        decision=batch.decision,
        of=len(batch),
    )


def sample(batches: Iterable[ServedBatch], most: int) -> LoggedRows | None:
    """At most `most` rows, each as likely as any other; None when there is no row.

    Memory holds these and one batch, however many rows there are: whenever more are kept, the chance of being
    kept is halved, for those that are there and those to come.
    """
    generator = np.random.default_rng(_SEED)
    chance, seen = 1.0, 0
    kept: list[tuple[NDArray[np.float64], LoggedRows]] = []
    for batch in batches:
        seen += len(batch)
        draw = generator.random(len(batch))
        here = draw < chance
        if here.any():
            kept.append((draw[here], logged_rows(batch).take(here)))
        while sum(len(draws) for draws, _ in kept) > most:
            chance /= 2
            still = [(draws[draws < chance], rows.take(draws < chance)) for draws, rows in kept]
            kept = [(draws, rows) for draws, rows in still if len(draws)]
    return _joined([rows for _, rows in kept], seen) if kept else None


def _joined(parts: list[LoggedRows], seen: int) -> LoggedRows:
    return LoggedRows(
        event_ns=np.concatenate([part.event_ns for part in parts]),
        client=np.concatenate([part.client for part in parts]),
        blocks=Blocks.concat([part.blocks for part in parts]),
        features=np.concatenate([part.features for part in parts]),
        score=np.concatenate([part.score for part in parts]),
        decision=np.concatenate([part.decision for part in parts]),
        of=seen,
    )
