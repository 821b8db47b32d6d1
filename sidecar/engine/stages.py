"""Where the time of the Python engine's answered messages goes, stage by stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.engine.contract import STAGES
from sidecar.engine.histogram import Histogram, stage_times

if TYPE_CHECKING:
    from sidecar.engine.contract import StageTimes


class Stages:
    """One histogram for each stage; written by one thread, read by any."""

    def __init__(self) -> None:
        self._queue, self._decode, self._infer, self._encode = (Histogram() for _ in STAGES)

    def __repr__(self) -> str:
        return f"<Stages of {self._queue.counts.sum()} messages>"

    def record(self, queue_ns: int, decode_ns: int, infer_ns: int, encode_ns: int) -> None:
        """Count one answered message."""
        self._queue.record(queue_ns)
        self._decode.record(decode_ns)
        self._infer.record(infer_ns)
        self._encode.record(encode_ns)

    def times(self) -> dict[str, StageTimes]:
        """What was counted so far."""
        counted = (self._queue, self._decode, self._infer, self._encode)
        return {
            stage: stage_times(histogram.counts) for stage, histogram in zip(STAGES, counted, strict=True)
        }
