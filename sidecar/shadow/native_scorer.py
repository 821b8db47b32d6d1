"""Scores as the native engine does: one call into `sidecar_dataplane` for a chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sidecar_dataplane import Runtime

from sidecar.bundle import open_bundle
from sidecar.codec import coded_texts
from sidecar.engine.choice import find_native
from sidecar.engine.native_model import load_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from sidecar.shadow.results import Columns
    from sidecar.signature import Blocks


class NativeScorer:
    """Implements `sidecar.shadow.scorer.Scorer`; see `sidecar_dataplane.Scorer`."""

    def __init__(self, path: Path) -> None:
        loaded = load_model(Runtime(str(find_native())), open_bundle(path))
        self.signature_digest = loaded.signature_digest
        self._scorer = loaded.scorer()

    def score(self, blocks: Blocks, ends: NDArray[np.int64], results: Columns) -> None:
        """Run the calls; see `Scorer.score`."""
        texts = [(texts, of_row.astype(np.int64, copy=False)) for texts, of_row in coded_texts(blocks)]
        self._scorer.score(blocks.numbers, blocks.integers, texts, ends, results)
