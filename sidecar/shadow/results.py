"""The memory in which a worker leaves its scores. Shared with the supervisor, so it outlives the worker."""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from sidecar.cells import index
from sidecar.domain import Failure, ScoreBatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.domain import ModelId

_DETAIL_BYTES = 200
_HEADER_BYTES = 64


class Columns(NamedTuple):
    """What the shared memory holds, in this order: one entry for each row, and before them `done`.

    done: int64 [1], rows that are complete; set when all else about them is written. infer_ns, cpu_ns: int64.
    score: float32. decision, raised: uint8, 1 is yes. detail: uint8 [rows, width], what a run that raised
    said, cut or filled with zeros.
    """

    done: NDArray[np.int64]
    infer_ns: NDArray[np.int64]
    cpu_ns: NDArray[np.int64]
    score: NDArray[np.float32]
    decision: NDArray[np.uint8]
    raised: NDArray[np.uint8]
    detail: NDArray[np.uint8]


_TYPES = ("i8", "i8", "f4", "u1", "u1", f"({_DETAIL_BYTES},)u1")
"""Of the columns that have an entry for each row."""


class Results:
    """One chunk's results in the file `fd`, mapped by both sides.

    Only the worker writes rows and raises `done`; only the supervisor sets it back, between chunks. The
    supervisor reads rows once the worker has said that the chunk is done, or is dead: the kernel stands
    between, so all that was written before `done` was is there to see.
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
        """Make room for a chunk of `rows` rows; both sides do so for every chunk, and so place rows alike."""
        if rows <= self._capacity:
            return
        types = [np.dtype(name) for name in _TYPES]
        size = _HEADER_BYTES + rows * sum(each.itemsize for each in types)
        if os.fstat(self.fd).st_size < size:
            os.ftruncate(self.fd, size)
        memory = mmap.mmap(self.fd, size)
        columns: list[NDArray[Any]] = [np.frombuffer(memory, np.int64, 1)]
        offset = _HEADER_BYTES
        for each in types:
            columns.append(np.frombuffer(memory, each, rows, offset))
            offset += rows * each.itemsize
        self.columns = Columns(*columns)
        self._capacity = rows

    def clear(self) -> None:
        """Forget the last chunk."""
        self.columns.done[0] = 0

    @property
    def done(self) -> int:
        """Rows of the chunk that are complete."""
        return int(self.columns.done[0])

    def read(self, model: ModelId, champion: ModelId, request_ids: NDArray[np.bytes_]) -> ScoreBatch:
        """The first rows of the chunk, one for each of `request_ids`."""
        rows, columns = len(request_ids), self.columns
        raised = columns.raised[:rows]
        failures, failure_rows = [(Failure.NONE, "")], np.zeros(rows, np.int64)
        if raised.any():
            details = (
                bytes(detail).rstrip(b"\0").decode(errors="ignore") for detail in columns.detail[:rows]
            )
            failures, failure_rows = index(
                (Failure.RAISED, detail) if yes else (Failure.NONE, "")
                for yes, detail in zip(raised.tolist(), details, strict=True)
            )
        return ScoreBatch(
            model=model,
            champion=champion,
            request_ids=request_ids,
            score=columns.score[:rows].copy(),
            decision=columns.decision[:rows].astype(np.bool_),
            infer_ns=columns.infer_ns[:rows].copy(),
            cpu_ns=columns.cpu_ns[:rows].copy(),
            failures=tuple(failures),
            failure_rows=failure_rows,
        )

    def close(self) -> None:
        """Close the file; the memory goes with its last user."""
        os.close(self.fd)
