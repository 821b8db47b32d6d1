"""Counters that outlive the process.

The engine counts each answered row here before anything else can happen to it. The counters lie in a
memory-mapped file, so that after `kill -9` the next process can say exactly how many rows were lost:

    lost = offered - dropped - sampled out - written - failed
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

_COUNTERS = ("offered", "dropped", "failed", "sampled_out")
_BYTES = 8 * len(_COUNTERS)


class Ledger:
    """Four counters of rows since the process started, each with one writing thread.

    offered: answered rows (the engine). dropped: answered rows that found the ring full (the engine).
    failed: rows the log store refused; sampled_out: rows that are not to be kept (both the recorder).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.stat().st_size != _BYTES:
            path.write_bytes(bytes(_BYTES))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _BYTES)
        self._counters = np.frombuffer(self._map, np.int64)

    @classmethod
    def create(cls, path: Path) -> Self:
        """A ledger with all counters at zero."""
        path.unlink(missing_ok=True)
        return cls(path)

    @staticmethod
    def read(path: Path) -> dict[str, int] | None:
        """What the ledger at `path` says now, by counter. None when there is none."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        if len(data) != _BYTES:
            return None
        return dict(zip(_COUNTERS, np.frombuffer(data, np.int64).tolist(), strict=True))

    def offer(self, rows: int) -> None:
        """Count answered rows."""
        self._counters[0] += rows

    def drop(self, rows: int) -> None:
        """Count answered rows that found the ring full."""
        self._counters[1] += rows

    def fail(self, rows: int) -> None:
        """Count rows the log store refused."""
        self._counters[2] += rows

    def sample_out(self, rows: int) -> None:
        """Count rows that are not to be kept."""
        self._counters[3] += rows

    @property
    def offered(self) -> int:
        """Rows answered."""
        return int(self._counters[0])

    @property
    def dropped(self) -> int:
        """Rows dropped at the ring."""
        return int(self._counters[1])

    @property
    def failed(self) -> int:
        """Rows the log store refused."""
        return int(self._counters[2])

    @property
    def sampled_out(self) -> int:
        """Rows not to be kept."""
        return int(self._counters[3])

    def close(self) -> None:
        """Unmap the file; the counters stay in it."""
        del self._counters
        self._map.close()
