"""What a version makes of logged rows: its own pipeline over the raw fields, decisions under its own rule.

Equal bit for bit to what it answered or would have answered, because a batch gives what single rows give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sidecar.errors import ModelFailedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.session import Model
    from sidecar.signature import Blocks

BATCH_ROWS = 4096


@dataclass(frozen=True, eq=False)
class Rescored:
    """One version on n rows: score float32 [n], NaN where it failed; decision bool [n]; valued bool [n]."""

    score: NDArray[np.float32]
    decision: NDArray[np.bool_]
    valued: NDArray[np.bool_]

    def take(self, rows: NDArray[np.int64]) -> Rescored:
        """The rows at these indices."""
        return Rescored(self.score[rows], self.decision[rows], self.valued[rows])


def rescore(model: Model, blocks: Blocks) -> Rescored:
    """Run the model over rows, in batches; a row it fails on has no value and spoils no other."""
    scored = Rescored(
        score=np.full(len(blocks), np.nan, np.float32),
        decision=np.zeros(len(blocks), np.bool_),
        valued=np.zeros(len(blocks), np.bool_),
    )
    for start in range(0, len(blocks), BATCH_ROWS):
        _run(model, blocks, slice(start, min(start + BATCH_ROWS, len(blocks))), scored)
    return scored


def _run(model: Model, blocks: Blocks, rows: slice, into: Rescored) -> None:
    """Run some rows; when they fail together, each half by itself."""
    try:
        prediction = model.run(blocks.take(rows))
    except ModelFailedError:
        middle = (rows.start + rows.stop) // 2
        if middle > rows.start:
            _run(model, blocks, slice(rows.start, middle), into)
            _run(model, blocks, slice(middle, rows.stop), into)
        return
    into.score[rows] = prediction.score
    into.decision[rows] = prediction.decision
    into.valued[rows] = True
