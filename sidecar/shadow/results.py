"""The memory in which a worker leaves its scores. Shared with the supervisor, so it outlives the worker."""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from typing import TYPE_CHECKING, Self

import numpy as np

from sidecar.cells import index
from sidecar.domain import Failure, ScoreBatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.domain import ModelId
    from sidecar.session import Prediction

_DETAIL_BYTES = 200
_ROW = np.dtype(
    [
        ("score", np.float32),
        ("decision", np.bool_),
        ("failure", np.uint8),
        ("detail", f"S{_DETAIL_BYTES}"),
        ("infer_ns", np.int64),
        ("cpu_ns", np.int64),
    ],
    align=True,
)
_HEADER_BYTES = 64
_FAILURES = tuple(Failure)


class Results:
    """One chunk's results in the file `fd`, mapped by both sides. `done` counts the rows that are complete.

    Only the worker writes rows and raises `done`; only the supervisor sets it back, between chunks.
    """

    def __init__(self, fd: int, rows: int) -> None:
        self.fd = fd
        self._capacity = 0
        self.reserve(rows)

    @classmethod
    def create(cls, rows: int) -> Self:
        """Memory for `rows` rows; grows when `reserve` asks for more."""
        if sys.platform == "linux":
            return cls(os.memfd_create("shadow-results"), rows)
        with tempfile.TemporaryFile() as file:
            return cls(os.dup(file.fileno()), rows)

    def reserve(self, rows: int) -> None:
        """Make room for a chunk of `rows` rows; both sides do so before they use it."""
        if rows <= self._capacity:
            return
        size = _HEADER_BYTES + rows * _ROW.itemsize
        if os.fstat(self.fd).st_size < size:
            os.ftruncate(self.fd, size)
        memory = mmap.mmap(self.fd, size)
        self._done = np.frombuffer(memory, np.int64, 1)
        self._rows = np.frombuffer(memory, _ROW, rows, _HEADER_BYTES)
        self._capacity = rows

    def clear(self) -> None:
        """Forget the last chunk."""
        self._done[0] = 0

    @property
    def done(self) -> int:
        """Rows of the chunk that are complete."""
        return int(self._done[0])

    def add(self, rows: int, prediction: Prediction) -> None:
        """Complete the next `rows` rows with what one inference call gave."""
        part = self._rows[self.done : self.done + rows]
        part["score"] = prediction.score
        part["decision"] = prediction.decision
        part["infer_ns"] = prediction.infer_ns
        part["cpu_ns"] = prediction.cpu_ns
        part["failure"] = 0
        # Last, so that a worker that dies in between has not claimed the rows.
        self._done[0] += rows

    def add_raised(self, rows: int, detail: str) -> None:
        """Complete the next `rows` rows with the error that their inference call ended with."""
        part = self._rows[self.done : self.done + rows]
        part["score"] = np.nan
        part["decision"] = False
        part["infer_ns"] = part["cpu_ns"] = 0
        part["failure"] = _FAILURES.index(Failure.RAISED)
        part["detail"] = detail.encode()[:_DETAIL_BYTES]
        self._done[0] += rows

    def read(self, model: ModelId, champion: ModelId, request_ids: NDArray[np.bytes_]) -> ScoreBatch:
        """The first rows of the chunk, one for each of `request_ids`."""
        part = self._rows[: len(request_ids)]
        failures, failure_rows = [(Failure.NONE, "")], np.zeros(len(part), np.int64)
        if part["failure"].any():
            kinds = (_FAILURES[code] for code in part["failure"].tolist())
            details = (detail.decode(errors="ignore") for detail in part["detail"].tolist())
            failures, failure_rows = index(
                (kind, detail if kind else "") for kind, detail in zip(kinds, details, strict=True)
            )
        return ScoreBatch(
            model=model,
            champion=champion,
            request_ids=request_ids,
            score=part["score"].copy(),
            decision=part["decision"].copy(),
            infer_ns=part["infer_ns"].copy(),
            cpu_ns=part["cpu_ns"].copy(),
            failures=tuple(failures),
            failure_rows=failure_rows,
        )

    def close(self) -> None:
        """Close the file; the memory goes with its last user."""
        os.close(self.fd)
