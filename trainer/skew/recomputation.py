"""Served rows computed again from their raw fields, as training computes them, and compared bit for bit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sidecar.bundle import TRANSFORM
from sidecar.session import FEATURES, feed, load_model, open_session

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.bundle import Bundle
    from trainer.skew.log_sample import LoggedRows

MAX_BATCH = 8_192
"""Rows of one run. Training runs all its rows at once; what a row gives does not depend on their number."""


@dataclass
class Difference:
    """Rows in which one part of the answer is not what training's code computes.

    parts: rows by feature name, where the part is the features. clients: rows by client. largest: the
    greatest absolute difference of a number from what it should be.
    """

    rows: int = 0
    since_ns: int = np.iinfo(np.int64).max
    largest: float = 0.0
    parts: Counter[str] = field(default_factory=Counter)
    clients: Counter[str] = field(default_factory=Counter)

    def add(self, rows: LoggedRows, differs: NDArray[np.bool_], largest: float) -> None:
        """Take in the rows of a batch that differ."""
        if not differs.any():
            return
        self.rows += int(np.count_nonzero(differs))
        self.since_ns = min(self.since_ns, int(rows.event_ns[differs].min()))
        self.largest = max(self.largest, largest)
        self.clients.update(rows.client[differs].tolist())


class Recomputation:
    """Compares rows that one bundle answered; one batch after another.

    rows: how many were compared. differences: by what differs: "features", "score" or "decision".
    """

    def __init__(self, bundle: Bundle) -> None:
        self._model = load_model(bundle.path)
        self._transform = open_session(bundle.path / TRANSFORM)
        self.rows = 0
        self.differences: dict[str, Difference] = {}

    def compare(self, rows: LoggedRows) -> None:
        """Compute these rows again, features by transform.onnx alone and all three by pipeline.onnx."""
        self.rows += len(rows)
        names = self._model.bundle.feature_names
        for start in range(0, len(rows), MAX_BATCH):
            part = rows.take(slice(start, start + MAX_BATCH))
            (features,) = self._transform.run([FEATURES], feed(part.blocks))
            again = self._model.run(part.blocks)
            wrong: NDArray[np.bool_] = ~_same(part.features, features)
            self._note("features", part, np.any(wrong, axis=1), _off(part.features, features))
            if wrong.any():
                counts = zip(names, wrong.sum(axis=0).tolist(), strict=True)
                self.differences["features"].parts.update({name: count for name, count in counts if count})
            self._note("score", part, ~_same(part.score, again.score), _off(part.score, again.score))
            self._note("decision", part, np.asarray(part.decision != again.decision), 1.0)

    def _note(self, what: str, rows: LoggedRows, differs: NDArray[np.bool_], largest: float) -> None:
        if differs.any():
            self.differences.setdefault(what, Difference()).add(rows, differs, largest)


def _same(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Equal bit for bit: a NaN equals the same NaN, and 0 is not -0."""
    return np.asarray(
        np.ascontiguousarray(one).view(np.uint32) == np.ascontiguousarray(other).view(np.uint32)
    )


def _off(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    with np.errstate(invalid="ignore"):
        off = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return float(np.max(off[np.isfinite(off)], initial=0.0))
