"""How much each raw field matters: how far the score moves when the field's values are shuffled.

Breiman's permutation importance (2001), with the score's own change in place of the loss, so that no labels
are needed. Drift findings are ranked by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sidecar.session import SCORE, feed, open_session
from sidecar.signature import Blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.signature import Signature

ROWS = 2_000
"""The newest rows, which are what is shuffled."""
_SEED = 20_130_316
_DIGITS = 6


def importance_of(pipeline: bytes, signature: Signature, blocks: Blocks) -> dict[str, float]:
    """The mean absolute change of the score by raw field, divided by their sum; all 0 if nothing matters.

    A field with one value in all the rows that are shuffled is left out: nothing is known of it.
    """
    session = open_session(pipeline)
    newest = blocks.take(slice(-ROWS, None))
    order = np.random.default_rng(_SEED).permutation(len(newest))

    def score(rows: Blocks) -> NDArray[np.float64]:
        (found,) = session.run([SCORE], feed(rows))
        values: NDArray[np.float64] = found.astype(np.float64)
        return values

    plain = score(newest)
    moved: dict[str, float] = {}
    for kind, fields in (
        ("numbers", signature.numbers),
        ("integers", signature.integers),
        ("texts", signature.texts),
    ):
        for column, field in enumerate(fields):
            if len(np.unique(getattr(newest, kind)[:, column])) == 1:
                continue
            parts = {name: getattr(newest, name) for name in ("numbers", "integers", "texts")}
            parts[kind] = parts[kind].copy()
            parts[kind][:, column] = parts[kind][order, column]
            moved[field.name] = float(np.abs(score(Blocks(**parts)) - plain).mean())
    total = sum(moved.values())
    return {name: round(change / total, _DIGITS) if total else 0.0 for name, change in moved.items()}
