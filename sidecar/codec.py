"""Columns of rows as cells of a table, and as one frame of bytes.

Each column of a batch becomes one cell that SQLite can hold. The log stores the cells of a batch side by
side; a shadow worker gets those of the raw blocks joined into one frame. Three kinds of cell:

    floats     float32, little-endian, row after row
    integers   per column: a byte w in {0, 1, 2, 4, 8}, an int64 base, then each row as base + unsigned w-byte
               number, all little-endian. A constant column costs 9 bytes whatever its length. With w = 8 the
               rows are plain int64 and the base is 0.
    words      JSON array of the distinct values of each column, beside an integers cell that says which value
               each row has

Request ids are a plain JSON array, so that SQLite's `json_each(request_ids)` finds a request.
"""

from __future__ import annotations

import itertools
import json
import struct
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from sidecar.domain import Failure, ScoreBatch, ServedBatch
from sidecar.signature import Blocks

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from sidecar.domain import ModelId

Cell: TypeAlias = int | str | bytes

_BLOCKS: dict[str, type[Cell]] = {"numbers": bytes, "integers": bytes, "texts": str, "text_rows": bytes}
SERVED: dict[str, type[Cell]] = {
    "rows": int,
    "request_ids": str,
    "clients": str,
    "client_rows": bytes,
    "received_ns": bytes,
    "event_ns": bytes,
    "inference_call": bytes,
    "queue_ns": bytes,
    "infer_ns": bytes,
    "cpu_ns": bytes,
    "score": bytes,
    "decision": bytes,
    **_BLOCKS,
    "features": bytes,
}
"""The cells of a ServedBatch. `inference_call` is its group; `text_rows` says which of `texts` a row has, and
`client_rows` which of `clients` sent it."""
SCORES: dict[str, type[Cell]] = {
    "rows": int,
    "request_ids": str,
    "infer_ns": bytes,
    "cpu_ns": bytes,
    "score": bytes,
    "decision": bytes,
    "failures": str,
    "failure_rows": bytes,
}
"""The cells of a ScoreBatch. `failures` lists each [failure, detail]; `failure_rows` says which a row has."""

_COLUMN = struct.Struct("<Bq")
_FRAME = struct.Struct("<6I")
_WIDTHS = ((0, 0), (1, 0xFF), (2, 0xFFFF), (4, 0xFFFF_FFFF))


def pack_served(batch: ServedBatch) -> dict[str, Cell]:
    """The cells of `batch` (at least one row), all but its model; keys as in SERVED."""
    clients, client_rows = _index(batch.client.tolist())
    return {
        "rows": len(batch),
        "request_ids": _pack_json(batch.request_ids),
        "clients": _pack_json(clients),
        "client_rows": _pack_integers([client_rows]),
        "received_ns": _pack_integers([batch.received_ns]),
        "event_ns": _pack_integers([batch.event_ns]),
        "inference_call": _pack_integers([batch.group]),
        "queue_ns": _pack_integers([batch.queue_ns]),
        "infer_ns": _pack_integers([batch.infer_ns]),
        "cpu_ns": _pack_integers([batch.cpu_ns]),
        "score": _pack_floats(batch.score),
        "decision": np.packbits(batch.decision).tobytes(),
        **_pack_blocks(batch.blocks),
        "features": _pack_floats(batch.features),
    }


def unpack_served(cells: Mapping[str, Cell], model: ModelId) -> ServedBatch:
    """The inverse of `pack_served`, bit for bit. Some arrays are read-only."""
    rows = _integer(cells["rows"])
    return ServedBatch(
        model=model,
        request_ids=json.loads(_text(cells["request_ids"])),
        client=_words(
            json.loads(_text(cells["clients"])), _unpack_integers(_data(cells["client_rows"]), rows)[0]
        ),
        received_ns=_unpack_integers(_data(cells["received_ns"]), rows)[0],
        event_ns=_unpack_integers(_data(cells["event_ns"]), rows)[0],
        group=_unpack_integers(_data(cells["inference_call"]), rows)[0],
        blocks=_unpack_blocks(cells, rows),
        features=_unpack_floats(_data(cells["features"]), rows),
        score=_unpack_floats(_data(cells["score"]), rows)[:, 0],
        decision=_unpack_flags(_data(cells["decision"]), rows),
        queue_ns=_unpack_integers(_data(cells["queue_ns"]), rows)[0],
        infer_ns=_unpack_integers(_data(cells["infer_ns"]), rows)[0],
        cpu_ns=_unpack_integers(_data(cells["cpu_ns"]), rows)[0],
    )


def pack_scores(batch: ScoreBatch) -> dict[str, Cell]:
    """The cells of `batch` (at least one row), all but its two models; keys as in SCORES."""
    failures, failure_rows = _index(zip(batch.failure, batch.detail, strict=True))
    return {
        "rows": len(batch),
        "request_ids": _pack_json(batch.request_ids),
        "infer_ns": _pack_integers([batch.infer_ns]),
        "cpu_ns": _pack_integers([batch.cpu_ns]),
        "score": _pack_floats(batch.score),
        "decision": np.packbits(batch.decision).tobytes(),
        "failures": _pack_json(failures),
        "failure_rows": _pack_integers([failure_rows]),
    }


def unpack_scores(cells: Mapping[str, Cell], candidate: ModelId, champion: ModelId) -> ScoreBatch:
    """The inverse of `pack_scores`, bit for bit. Some arrays are read-only."""
    rows = _integer(cells["rows"])
    failures = [(Failure(failure), detail) for failure, detail in json.loads(_text(cells["failures"]))]
    failure_rows = _unpack_integers(_data(cells["failure_rows"]), rows)[0].tolist()
    return ScoreBatch(
        model=candidate,
        champion=champion,
        request_ids=json.loads(_text(cells["request_ids"])),
        score=_unpack_floats(_data(cells["score"]), rows)[:, 0],
        decision=_unpack_flags(_data(cells["decision"]), rows),
        infer_ns=_unpack_integers(_data(cells["infer_ns"]), rows)[0],
        cpu_ns=_unpack_integers(_data(cells["cpu_ns"]), rows)[0],
        failure=[failures[index][0] for index in failure_rows],
        detail=[failures[index][1] for index in failure_rows],
    )


def pack_work(blocks: Blocks, group: NDArray[np.int64]) -> bytes:
    """Raw rows (at least one) and their inference calls, as one frame for a shadow worker."""
    cells = _pack_blocks(blocks)
    parts = [cells[name] for name in _BLOCKS] + [_pack_integers([group])]
    data = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join((_FRAME.pack(len(blocks), *map(len, data)), *data))


def unpack_work(frame: bytes) -> tuple[Blocks, NDArray[np.int64]]:
    """The inverse of `pack_work`."""
    rows, *sizes = _FRAME.unpack_from(frame)
    ends = np.cumsum([_FRAME.size, *sizes]).tolist()
    parts = [frame[start:end] for start, end in itertools.pairwise(ends)]
    cells: dict[str, Cell] = dict(zip(_BLOCKS, parts, strict=False))
    return _unpack_blocks({**cells, "texts": parts[2].decode()}, rows), _unpack_integers(parts[4], rows)[0]


def _pack_blocks(blocks: Blocks) -> dict[str, str | bytes]:
    words = [_index(column) for column in blocks.texts.T.tolist()]
    return {
        "numbers": _pack_floats(blocks.numbers),
        "integers": _pack_integers(blocks.integers.T),
        "texts": _pack_json([values for values, _ in words]),
        "text_rows": _pack_integers(rows for _, rows in words),
    }


def _unpack_blocks(cells: Mapping[str, Cell], rows: int) -> Blocks:
    words = json.loads(_text(cells["texts"]))
    texts = np.empty((rows, len(words)), object)
    text_rows = _unpack_integers(_data(cells["text_rows"]), rows)
    for column, (values, index) in enumerate(zip(words, text_rows, strict=True)):
        texts[:, column] = _words(values, index)
    integers = _unpack_integers(_data(cells["integers"]), rows)
    return Blocks(
        numbers=_unpack_floats(_data(cells["numbers"]), rows),
        integers=np.stack(integers, axis=1) if integers else np.empty((rows, 0), np.int64),
        texts=texts,
    )


def _index(values: Iterable[Hashable]) -> tuple[list[Hashable], NDArray[np.int64]]:
    """The distinct values in order of appearance, and for each value its place among them."""
    places: dict[Hashable, int] = {}
    index = [places.setdefault(value, len(places)) for value in values]
    return list(places), np.array(index, np.int64)


def _words(values: Sequence[str], index: NDArray[np.int64]) -> NDArray[np.object_]:
    """The inverse of `_index`; rows with the same text share one object."""
    words: NDArray[np.object_] = np.array(values, object)[index]
    return words


def _pack_json(values: Sequence[object]) -> str:
    return json.dumps(values, separators=(",", ":"))


def _pack_floats(array: NDArray[np.float32]) -> bytes:
    return np.ascontiguousarray(array, "<f4").tobytes()


def _unpack_floats(data: bytes, rows: int) -> NDArray[np.float32]:
    return np.frombuffer(data, "<f4").reshape(rows, len(data) // (4 * rows))


def _unpack_flags(data: bytes, rows: int) -> NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(data, np.uint8), count=rows).astype(bool)


def _pack_integers(columns: Iterable[NDArray[np.int64]]) -> bytes:
    parts = []
    for column in columns:
        base, top = int(column.min()), int(column.max())
        for width, limit in _WIDTHS:
            if top - base <= limit:
                rows = (column - base).astype(f"<u{width}").tobytes() if width else b""
                parts += [_COLUMN.pack(width, base), rows]
                break
        else:
            parts += [_COLUMN.pack(8, 0), column.astype("<i8").tobytes()]
    return b"".join(parts)


def _unpack_integers(data: bytes, rows: int) -> list[NDArray[np.int64]]:
    columns = []
    offset = 0
    while offset < len(data):
        width, base = _COLUMN.unpack_from(data, offset)
        offset += _COLUMN.size
        if width == 0:
            columns.append(np.full(rows, base, np.int64))
        else:
            kind = "<i8" if width == 8 else f"<u{width}"  # noqa: PLR2004 - bytes of an int64
            columns.append(np.frombuffer(data, kind, rows, offset).astype(np.int64) + base)
        offset += width * rows
    return columns


def _integer(cell: Cell) -> int:
    assert isinstance(cell, int)
    return cell


def _text(cell: Cell) -> str:
    assert isinstance(cell, str)
    return cell


def _data(cell: Cell) -> bytes:
    assert isinstance(cell, bytes)
    return cell
