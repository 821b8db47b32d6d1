"""What a worker does with a chunk: every inference call of the champion again, by a run of its own.

It runs them as the engine does that serves the champion, so that the two clocks of both mean the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from sidecar.shadow.results import Columns
    from sidecar.signature import Blocks


class Scorer(Protocol):
    """A candidate, loaded and warm."""

    signature_digest: str

    def score(self, blocks: Blocks, ends: NDArray[np.int64], results: Columns) -> None:
        """Run the calls one after another; `results.done` is raised after each.

        ends: for each call, the row after its last one. A run that fails is a result and no error.
        """


def open_scorer(engine: str, bundle: Path) -> Scorer:
    """Load a candidate for a worker beside this engine.

    Raises BundleError when it is damaged or cannot run on an ordinary row.
    """
    # Each brings ONNX Runtime in its own way, and a worker needs one of them.
    if engine == "native":
        from sidecar.shadow.native_scorer import NativeScorer  # noqa: PLC0415

        return NativeScorer(bundle)
    from sidecar.shadow.python_scorer import PythonScorer  # noqa: PLC0415

    return PythonScorer(bundle)
