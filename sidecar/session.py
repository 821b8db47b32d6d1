"""Running an exported graph. Serving, shadow workers and the trainer all go through here.

One intra-op thread, no spinning: a run costs its own thread and no other, so its CPU time is its cost. No
arena: each session's would keep a megabyte or more, and a run is as quick without.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnxruntime as ort

from sidecar.bundle import PIPELINE, Bundle, open_bundle
from sidecar.errors import BundleError, ModelFailedError
from sidecar.warm_up import WARM_UP_RUNS, warm_up_row

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from sidecar.signature import Blocks

NUMBERS, INTEGERS, TEXTS = "numbers", "integers", "texts"
FEATURES, SCORE, DECISION = "features", "score", "decision"


class Prediction(NamedTuple):
    """What one run gave: features float32 [n, features], score float32 [n], decision bool [n], and times.

    infer_ns: wall clock; cpu_ns: this thread's CPU clock, which preemption does not inflate.
    """

    features: NDArray[np.float32]
    score: NDArray[np.float32]
    decision: NDArray[np.bool_]
    infer_ns: int
    cpu_ns: int


def open_session(model: Path | bytes) -> ort.InferenceSession:
    """An ONNX Runtime session on the CPU with one thread that does not spin.

    Raises BundleError when ONNX Runtime cannot load the graph.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # failures reach the caller as exceptions; nothing is worth a second line
    source = model if isinstance(model, bytes) else str(model)
    try:
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no common base for what loading raises
        raise BundleError(f"ONNX Runtime cannot load the graph: {_first_line(error)}") from error


def feed(blocks: Blocks) -> dict[str, NDArray[Any]]:
    """The inputs of an exported graph: one per kind that has fields."""
    inputs: dict[str, NDArray[Any]] = {
        NUMBERS: blocks.numbers,
        INTEGERS: blocks.integers,
        TEXTS: blocks.texts,
    }
    return {name: block for name, block in inputs.items() if block.shape[1]}


@dataclass(frozen=True)
class Model:
    """A bundle's pipeline, loaded and warm."""

    bundle: Bundle
    _session: ort.InferenceSession

    def run(self, blocks: Blocks) -> Prediction:
        """Score rows in one inference call.

        Raises ModelFailedError when the graph ends with an error or a score is not a number.
        """
        inputs = feed(blocks)
        cpu = time.thread_time_ns()
        start = time.perf_counter_ns()
        try:
            features, score, decision = self._session.run([FEATURES, SCORE, DECISION], inputs)
        except Exception as error:  # ONNX Runtime has no common base for what running raises
            raise ModelFailedError(f"{self.bundle.model}: {_first_line(error)}") from error
        infer_ns = time.perf_counter_ns() - start
        cpu_ns = time.thread_time_ns() - cpu
        if np.isnan(score).any():
            raise ModelFailedError(f"{self.bundle.model}: the score is not a number")
        return Prediction(features, score, decision, infer_ns, cpu_ns)


def load_model(path: Path) -> Model:
    """Open the bundle at `path`, load its pipeline and warm it.

    Raises BundleError when it is damaged or cannot run on an ordinary row.
    """
    bundle = open_bundle(path)
    model = Model(bundle, open_session(bundle.path / PIPELINE))
    row = warm_up_row(bundle.signature)
    try:
        for _ in range(WARM_UP_RUNS):
            model.run(row)
    except ModelFailedError as error:
        raise BundleError(f"bundle {bundle.model} fails on a plain row: {error}") from error
    return model


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:300]
