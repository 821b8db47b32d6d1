"""What the native data plane hands over, as the arrays of a `ServedBatch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.cells import spread_words
from sidecar.domain import ModelId, ServedBatch
from sidecar.signature import Blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sidecar_dataplane import Columns


def served_batch(columns: Columns) -> ServedBatch:
    """The same rows without a Python object for each value; arrays of numbers are read-only views."""
    width, ids = columns.request_ids
    rows = len(ids) // width
    texts = [_coded(*column) for column in columns.texts]
    return ServedBatch(
        model=ModelId(*columns.model),
        request_ids=np.frombuffer(ids, f"S{width}"),
        client=spread_words([_coded(*columns.clients)], rows)[:, 0],
        received_ns=np.frombuffer(columns.received_ns, np.int64),
        event_ns=np.frombuffer(columns.event_ns, np.int64),
        group=np.frombuffer(columns.group, np.int64),
        blocks=Blocks(
            _matrix(columns.numbers, np.float32, rows),
            _matrix(columns.integers, np.int64, rows),
            spread_words(texts, rows),
            texts,
        ),
        features=_matrix(columns.features, np.float32, rows),
        score=np.frombuffer(columns.score, np.float32),
        decision=np.frombuffer(columns.decision, np.bool_),
        propensity=_or_usual(columns.propensity, np.float32(1), rows),
        queue_ns=np.frombuffer(columns.queue_ns, np.int64),
        failed_ns=_or_usual(columns.failed_ns, np.int64(0), rows),
        infer_ns=np.frombuffer(columns.infer_ns, np.int64),
        cpu_ns=np.frombuffer(columns.cpu_ns, np.int64),
    )


def _or_usual(values: bytes, usual: np.generic, rows: int) -> NDArray[Any]:
    """None are handed over where each is as usual."""
    return np.frombuffer(values, usual.dtype) if values else np.full(rows, usual)


def _matrix(values: bytes, dtype: type[np.generic], rows: int) -> NDArray[Any]:
    flat = np.frombuffer(values, dtype)
    return flat.reshape(rows, len(flat) // rows)


def _coded(distinct: list[str], of_row: bytes) -> tuple[list[str], NDArray[np.int32]]:
    return distinct, np.frombuffer(of_row, np.int32)
