"""Batches of rows as cells of the log's tables, and raw rows as one frame of bytes.

Each column of a batch becomes one cell, or two; `sidecar.cells` says what is in them. The log stores the
cells of a batch side by side, so that a reader takes from the file only what it was asked for; a shadow
worker gets those of the raw blocks joined into one frame.
"""

from __future__ import annotations

import itertools
import json
import struct
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from sidecar.cells import (
    Room,
    beside,
    index,
    pack_codes,
    pack_flags,
    pack_floats,
    pack_ids,
    pack_integers,
    pack_json,
    pack_matrix,
    pack_words,
    spread_words,
    unpack_flags,
    unpack_floats,
    unpack_ids,
    unpack_integers,
    unpack_matrix,
    unpack_words,
)
from sidecar.domain import Failure, ScoreBatch, ServedBatch
from sidecar.feature_cell import pack_features, unpack_features
from sidecar.feature_origin import RawFields
from sidecar.signature import Blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from sidecar.domain import ModelId
    from sidecar.feature_origin import Origins

Cell: TypeAlias = int | str | bytes
Columns: TypeAlias = "dict[str, NDArray[Any]]"
"""Columns of one length by name."""


class Cells(Protocol):
    """Cells by name, as they come out of a table."""

    def __getitem__(self, name: str, /) -> Any:
        """The cell of this name."""


SERVED: dict[str, type[Cell]] = {
    "rows": int,
    "id_prefix": str,
    "request_ids": str,
    "clients": str,
    "client_rows": bytes,
    "received_ns": bytes,
    "event_lag_ns": bytes,
    "inference_calls": bytes,
    "queue_ns": bytes,
    "failed_ns": bytes,
    "infer_ns": bytes,
    "cpu_ns": bytes,
    "score": bytes,
    "decision": bytes,
    "propensity": bytes,
    "numbers": bytes,
    "integers": bytes,
    "texts": str,
    "text_rows": bytes,
    "features": bytes,
}
"""The cells of a ServedBatch. `event_lag_ns`: received_ns - event_ns; `inference_calls`: how its group grows
from row to row; `client_rows`, `text_rows`: which of `clients` and of `texts` a row has; `features`: see
`sidecar.feature_cell`."""
SCORES: dict[str, type[Cell]] = {
    "rows": int,
    "id_prefix": str,
    "request_ids": str,
    "infer_ns": bytes,
    "cpu_ns": bytes,
    "score": bytes,
    "decision": bytes,
    "failures": str,
    "failure_rows": bytes,
}
"""The cells of a ScoreBatch. `failures` lists each [failure, detail]; `failure_rows` says which a row has."""

_IDS = ("id_prefix", "request_ids")
_TEXTS = ("texts", "text_rows")
SERVED_COLUMNS: dict[str, tuple[str, ...]] = {
    "request_ids": _IDS,
    "client": ("clients", "client_rows"),
    "received_ns": ("received_ns",),
    "event_ns": ("received_ns", "event_lag_ns"),
    "group": ("inference_calls",),
    "numbers": ("numbers",),
    "integers": ("integers",),
    "texts": _TEXTS,
    "features": ("numbers", "integers", "text_rows", "features"),
    "score": ("score",),
    "decision": ("decision",),
    "propensity": ("propensity",),
    "queue_ns": ("queue_ns",),
    "failed_ns": ("failed_ns",),
    "infer_ns": ("infer_ns",),
    "cpu_ns": ("cpu_ns",),
}
"""The columns of served rows, and the cells that each comes out of. Types and shapes as in `ServedBatch`, but
request_ids: bytes (S, ASCII) [n]; and the three blocks as matrices."""
SCORE_COLUMNS: dict[str, tuple[str, ...]] = {
    "request_ids": _IDS,
    "score": ("score",),
    "decision": ("decision",),
    "infer_ns": ("infer_ns",),
    "cpu_ns": ("cpu_ns",),
    "failure": ("failures", "failure_rows"),
    "detail": ("failures", "failure_rows"),
}
"""The same of candidates' scores; failure and detail: object (str) [n]."""
WRITTEN = "written_ns"
"""The column of both that the log adds: when each row was written, int64 [n], see `LogStore.write`."""

_FRAME = struct.Struct("<6I")


def pack_served(batch: ServedBatch, origins: Origins, room: Room) -> dict[str, Cell]:
    """The cells of `batch` (at least one row), all but its model; keys as in SERVED.

    origins: of the model's features, as far as earlier batches showed them; added to. room: to work in.
    """
    prefix, request_ids = pack_ids(batch.request_ids)
    clients, client_rows = pack_words([index(batch.client.tolist())])
    blocks = batch.blocks
    words = coded_texts(blocks)
    texts, text_rows = pack_words(words)
    fields = RawFields(
        room.by_column("numbers", blocks.numbers), room.by_column("integers", blocks.integers), words
    )
    return {
        "rows": len(batch),
        "id_prefix": prefix,
        "request_ids": request_ids,
        "clients": clients,
        "client_rows": client_rows,
        "received_ns": pack_integers([batch.received_ns]),
        "event_lag_ns": pack_integers([batch.received_ns - batch.event_ns]),
        "inference_calls": pack_integers([_growth(batch.group)]),
        "queue_ns": pack_integers([batch.queue_ns]),
        "failed_ns": pack_integers([batch.failed_ns]),
        "infer_ns": pack_integers([batch.infer_ns]),
        "cpu_ns": pack_integers([batch.cpu_ns]),
        "score": pack_floats(batch.score),
        "decision": pack_flags(batch.decision),
        "propensity": pack_matrix(batch.propensity[None]),
        "numbers": pack_matrix(fields.numbers),
        "integers": pack_integers(fields.integers),
        "texts": texts,
        "text_rows": text_rows,
        "features": pack_features(room.by_column("features", batch.features), fields, origins),
    }


def coded_texts(blocks: Blocks) -> Sequence[tuple[Sequence[str], NDArray[np.integer]]]:
    """`coded` of the blocks, found out where it is not known."""
    if blocks.coded is None:
        return [index(column) for column in blocks.texts.T.tolist()]
    return blocks.coded


def _growth(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each value what it is above the one before, above 0 the first."""
    growth = values.copy()
    growth[1:] -= values[:-1]
    return growth


def unpack_served(cells: Cells, model: ModelId) -> ServedBatch:
    """The inverse of `pack_served`, bit for bit. Some arrays are read-only."""
    return served_batch(unpack_columns(cells, SERVED_COLUMNS), model)


def served_batch(columns: Mapping[str, NDArray[Any]], model: ModelId) -> ServedBatch:
    """The batch that has these columns, all of SERVED_COLUMNS."""
    rest = dict(columns)
    blocks = Blocks(rest.pop("numbers"), rest.pop("integers"), rest.pop("texts"))
    return ServedBatch(model=model, blocks=blocks, **rest)


def pack_scores(batch: ScoreBatch) -> dict[str, Cell]:
    """The cells of `batch` (at least one row), all but its two models; keys as in SCORES."""
    prefix, request_ids = pack_ids(batch.request_ids)
    return {
        "rows": len(batch),
        "id_prefix": prefix,
        "request_ids": request_ids,
        "infer_ns": pack_integers([batch.infer_ns]),
        "cpu_ns": pack_integers([batch.cpu_ns]),
        "score": pack_floats(batch.score),
        "decision": pack_flags(batch.decision),
        "failures": pack_json(batch.failures),
        "failure_rows": pack_codes(batch.failure_rows, len(batch.failures)),
    }


def unpack_scores(cells: Cells, candidate: ModelId, champion: ModelId) -> ScoreBatch:
    """The inverse of `pack_scores`, bit for bit. Some arrays are read-only."""
    return score_batch(unpack_columns(cells, SCORE_COLUMNS), candidate, champion)


def score_batch(columns: Mapping[str, NDArray[Any]], candidate: ModelId, champion: ModelId) -> ScoreBatch:
    """The batch that has these columns, all of SCORE_COLUMNS."""
    rest = dict(columns)
    failures, failure_rows = index(
        zip(rest.pop("failure").tolist(), rest.pop("detail").tolist(), strict=True)
    )
    return ScoreBatch(
        model=candidate,
        champion=champion,
        failures=tuple((Failure(kind), detail) for kind, detail in failures),
        failure_rows=failure_rows,
        **rest,
    )


def unpack_columns(cells: Cells, names: Iterable[str]) -> Columns:
    """The columns of these names, from the cells that they come out of, and `rows`."""
    return {name: unpack_column(cells, name) for name in names}


def unpack_column(cells: Cells, name: str) -> NDArray[Any]:
    """One of them."""
    return _UNPACK[name](cells, cells["rows"])


def _ids(cells: Cells, rows: int) -> NDArray[np.bytes_]:
    return unpack_ids(cells["id_prefix"], cells["request_ids"], rows)


def _event_ns(cells: Cells, rows: int) -> NDArray[np.int64]:
    lag_ns = unpack_integers(cells["event_lag_ns"], rows)[0]
    return unpack_integers(cells["received_ns"], rows)[0] - lag_ns


def _group(cells: Cells, rows: int) -> NDArray[np.int64]:
    return np.cumsum(unpack_integers(cells["inference_calls"], rows)[0])


def _features(cells: Cells, rows: int) -> NDArray[np.float32]:
    return unpack_features(
        cells["features"],
        rows,
        unpack_matrix(cells["numbers"], rows),
        unpack_integers(cells["integers"], rows),
        unpack_integers(cells["text_rows"], rows),
    )


def _integers(cells: Cells, rows: int) -> NDArray[np.int64]:
    return beside(unpack_integers(cells["integers"], rows), rows, np.int64)


def _texts(texts: str, text_rows: bytes, rows: int) -> NDArray[np.object_]:
    return spread_words(unpack_words(texts, text_rows, rows), rows)


def _failures(place: int) -> Callable[[Cells, int], NDArray[np.object_]]:
    def unpack(cells: Cells, rows: int) -> NDArray[np.object_]:
        said = np.array([pair[place] for pair in json.loads(cells["failures"])], object)
        return said[unpack_integers(cells["failure_rows"], rows)[0]]

    return unpack


def _durations(name: str) -> Callable[[Cells, int], NDArray[np.int64]]:
    return lambda cells, rows: unpack_integers(cells[name], rows)[0]


_UNPACK: Mapping[str, Callable[[Cells, int], NDArray[Any]]] = {
    "request_ids": _ids,
    "client": lambda cells, rows: _texts(cells["clients"], cells["client_rows"], rows)[:, 0],
    "received_ns": _durations("received_ns"),
    "event_ns": _event_ns,
    "group": _group,
    "numbers": lambda cells, rows: unpack_matrix(cells["numbers"], rows),
    "integers": _integers,
    "texts": lambda cells, rows: _texts(cells["texts"], cells["text_rows"], rows),
    "features": _features,
    "score": lambda cells, rows: unpack_floats(cells["score"], rows)[:, 0],
    "decision": lambda cells, rows: unpack_flags(cells["decision"], rows),
    "propensity": lambda cells, rows: unpack_matrix(cells["propensity"], rows)[:, 0],
    "queue_ns": _durations("queue_ns"),
    "failed_ns": _durations("failed_ns"),
    "infer_ns": _durations("infer_ns"),
    "cpu_ns": _durations("cpu_ns"),
    "failure": _failures(0),
    "detail": _failures(1),
    WRITTEN: lambda cells, rows: np.full(rows, cells[WRITTEN], np.int64),
}


def pack_work(blocks: Blocks, group: NDArray[np.int64]) -> bytes:
    """Raw rows (at least one) and their inference calls, as one frame for a shadow worker."""
    texts, text_rows = pack_words(coded_texts(blocks))
    data = (
        pack_floats(blocks.numbers),
        pack_integers(blocks.integers.T),
        texts.encode(),
        text_rows,
        pack_integers([group]),
    )
    return b"".join((_FRAME.pack(len(blocks), *map(len, data)), *data))


def unpack_work(frame: bytes) -> tuple[Blocks, NDArray[np.int64]]:
    """The inverse of `pack_work`."""
    rows, *sizes = _FRAME.unpack_from(frame)
    ends = np.cumsum([_FRAME.size, *sizes]).tolist()
    numbers, integers, texts, text_rows, group = (frame[start:end] for start, end in itertools.pairwise(ends))
    words = unpack_words(texts.decode(), text_rows, rows)
    blocks = Blocks(
        unpack_floats(numbers, rows),
        _integers({"integers": integers}, rows),
        spread_words(words, rows),
        words,
    )
    return blocks, unpack_integers(group, rows)[0]
