"""Scores as the python engine does: one run of `sidecar.session` for a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sidecar.errors import ModelFailedError
from sidecar.session import load_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from sidecar.session import Prediction
    from sidecar.shadow.results import Columns
    from sidecar.signature import Blocks


class PythonScorer:
    """Implements `sidecar.shadow.scorer.Scorer`."""

    def __init__(self, path: Path) -> None:
        self._model = load_model(path)
        self.signature_digest = self._model.bundle.signature.digest

    def score(self, blocks: Blocks, ends: NDArray[np.int64], results: Columns) -> None:
        """Run the calls; see `Scorer.score`."""
        start = 0
        for end in ends.tolist():
            call = slice(start, end)
            try:
                _complete(results, call, self._run(blocks.take(call)))
            except ModelFailedError as error:
                _complete_raised(results, call, str(error).encode())
            # Last, so that a worker that dies in between has not claimed the rows.
            results.done[0] = start = end

    def _run(self, blocks: Blocks) -> Prediction:
        prediction = self._model.run(blocks)
        rows = len(blocks)
        if np.shape(prediction.score) != (rows,) or np.shape(prediction.decision) != (rows,):
            raise ModelFailedError(
                f"{self._model.bundle.model}: gave {np.shape(prediction.score)} scores for {rows} rows"
            )
        return prediction


def _complete(results: Columns, call: slice, prediction: Prediction) -> None:
    results.score[call] = prediction.score
    results.decision[call] = prediction.decision
    results.raised[call] = 0
    results.infer_ns[call] = prediction.infer_ns
    results.cpu_ns[call] = prediction.cpu_ns


def _complete_raised(results: Columns, call: slice, detail: bytes) -> None:
    results.score[call] = np.nan
    for column in (results.decision, results.infer_ns, results.cpu_ns, results.detail):
        column[call] = 0
    results.raised[call] = 1
    detail = detail[: results.detail.shape[1]]
    results.detail[call, : len(detail)] = np.frombuffer(detail, np.uint8)
