"""Columns of the log as Parquet tables that other tools read, and back without loss.

What a table says beyond a plain copy of the columns:

    times       as microseconds, which every tool reads, beside the nanoseconds left over (received_rest_ns)
    missing     null: the NaN that stands for a missing number, and the empty text
    names       raw fields by their own name, features as feature_<name>; the file's metadata says which
                table columns make up which block

Needs pyarrow, the extra `parquet`; imported when first used.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.cells import beside, spread_words
from sidecar.codec import WRITTEN
from sidecar.errors import ConfigError
from sidecar.store.layout import BLOCKS
from sidecar.store.part import EVERYTHING, PackedColumns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from sidecar.codec import Columns
    from sidecar.store.layout import Layout
    from sidecar.store.part import Within

FORMAT = 2
_METADATA = b"model_sidecar"
NAN_BITS = 0x7FC0_0000
"""The float32 that stands for missing."""
_US = 1000  # nanoseconds
_ROW_GROUP = 1 << 17
_FEW_DISTINCT = 0.25
"""A column whose first rows have no more distinct values than this part is written as a dictionary."""
_LOOKED_AT = 8192
_SELDOM = 0.1
"""Whole numbers that go down no more often than this are written as differences."""
TIMES = {
    "received_ns": "received",
    "event_ns": "event",
    "observed_ns": "observed",
    "recorded_ns": "recorded",
    WRITTEN: "written",
}
RENAMED = {"request_ids": "request_id", "group": "inference_call"}
_CODED = ("client", "failure", "detail")
"""Text columns beside the texts block whose values repeat."""

RESERVED = frozenset(
    {
        *("request_id", "inference_call", "client", "score", "decision", "propensity"),
        *("queue_ns", "failed_ns", "infer_ns", "cpu_ns"),
        *(f"{name}{suffix}" for name in TIMES.values() for suffix in ("_time", "_rest_ns")),
        *("task", "version", "digest", "champion", "champion_digest", "model", "day", "run"),
    }
)
"""Column names that no raw field or feature gets."""


def pyarrow() -> Any:
    """The module, with its Parquet part. Raises ConfigError when it is not installed."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - heavy, and not everywhere
        import pyarrow.compute  # noqa: PLC0415
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "Parquet files need pyarrow; install model-sidecar with the extra 'parquet'"
        ) from error
    # numpy's allocator: what one frees the other takes, and pages need not be cleared anew. With Arrow's own,
    # the first read of a million rows takes half a second more.
    pa.set_memory_pool(pa.system_memory_pool())
    return pa


def to_table(columns: Columns, layout: Layout | None, facts: Mapping[str, str]) -> Any:
    """The pyarrow.Table of these columns, with a constant text column for each fact."""
    pa = pyarrow()
    arrays: dict[str, Any] = {}
    blocks: dict[str, list[str]] = {}
    for name, values in columns.items():
        if name in TIMES:
            whole, rest = np.divmod(values, _US)
            kind = TIMES[name]
            arrays[f"{kind}_time"] = pa.array(whole, pa.int64()).cast(pa.timestamp("us", "UTC"))
            arrays[f"{kind}_rest_ns"] = pa.array(rest.astype(np.int16))
        elif name in BLOCKS:
            assert layout is not None, "blocks have a layout"
            blocks[name] = list(getattr(layout, name))
            for place, called in enumerate(blocks[name]):
                arrays[called] = _array(pa, values[:, place])
        else:
            arrays[RENAMED.get(name, name)] = _array(pa, values)
    rows = len(next(iter(columns.values())))
    for name, fact in facts.items():
        arrays[name] = pa.repeat(fact, rows)
    metadata = {_METADATA: json.dumps({"format": FORMAT, "blocks": blocks})}
    return pa.table(arrays).replace_schema_metadata(metadata)


def write_table(table: Any, path: Path) -> None:
    """Write a Parquet file as small as the values allow. Raises OSError."""
    pa = pyarrow()
    dictionary: list[str] = []
    encodings: dict[str, str] = {}
    for field, column in zip(table.schema, table.columns, strict=True):
        seen = column.slice(0, _LOOKED_AT)
        is_text = pa.types.is_string(field.type)
        if is_text and field.name == RENAMED["request_ids"]:
            encodings[field.name] = "DELTA_BYTE_ARRAY"
        elif is_text or len(seen.unique()) <= max(1, _FEW_DISTINCT * len(seen)):
            dictionary.append(field.name)
        elif pa.types.is_boolean(field.type):
            continue
        elif pa.types.is_floating(field.type) or not _rises(seen.cast(pa.int64()).to_numpy()):
            encodings[field.name] = "BYTE_STREAM_SPLIT"
        else:
            encodings[field.name] = "DELTA_BINARY_PACKED"
    pa.parquet.write_table(
        table,
        path,
        compression="zstd",
        compression_level=9,
        use_dictionary=dictionary,
        column_encoding=encodings,
        row_group_size=_ROW_GROUP,
        data_page_size=1 << 20,
        store_schema=True,
    )


def _rises(values: NDArray[np.int64]) -> bool:
    """Whether values grow from row to row, most of them, as times do: then their differences are small."""
    return bool(np.count_nonzero(np.diff(values) < 0) <= _SELDOM * len(values))


def read_columns(path: Path, names: Iterable[str], within: Within = EVERYTHING) -> list[PackedColumns]:
    """Columns of a Parquet file by their name in the log, row group by row group.

    within: of time columns; only row groups that can have such rows are read, and only such rows returned.
    Raises ConfigError for a file of another format.
    """
    pa = pyarrow()
    wanted = tuple(names)
    known = pa.parquet.read_metadata(path)
    said = json.loads((known.metadata or {}).get(_METADATA, b"{}"))
    if said.get("format") != FORMAT:
        raise ConfigError(f"{path} is not a sealed file that this version reads; upgrade model-sidecar")
    blocks: dict[str, list[str]] = said["blocks"]
    asked = dict.fromkeys((*wanted, *within))
    coded = [name for name in (*blocks.get("texts", ()), *_CODED) if name in known.schema.names]
    with pa.parquet.ParquetFile(path, metadata=known, read_dictionary=coded) as file:
        physical = [called for name in asked for called in _called(name, blocks)]
        tables = [file.read_row_group(group, columns=physical) for group in _groups(file, within)]
    parts = (PackedColumns(wanted, len(table), partial(_column, pa, table, blocks)) for table in tables)
    return [kept for part in parts if (kept := part.within(within)) is not None]


def _called(name: str, blocks: Mapping[str, list[str]]) -> list[str]:
    """The table columns that a column of the log is made of."""
    if name in TIMES:
        return [f"{TIMES[name]}_time", f"{TIMES[name]}_rest_ns"]
    return blocks[name] if name in blocks else [RENAMED.get(name, name)]


def _groups(file: Any, within: Within) -> list[int]:
    """The row groups that can have rows within."""
    chosen = list(range(file.metadata.num_row_groups))
    for name, (first, last) in within.items():
        place = file.schema_arrow.get_field_index(f"{TIMES[name]}_time")
        found = {group: file.metadata.row_group(group).column(place).statistics for group in chosen}
        chosen = [group for group, known in found.items() if _can_be(known, first, last)]
    return chosen


def _can_be(known: Any, first: int, last: int) -> bool:
    """Whether a row group can have times from the first to the last; known: the statistics of its column."""
    if known is None or not known.has_min_max:
        return True
    return bool(known.min_raw * _US <= last and (known.max_raw + 1) * _US > first)


def _array(pa: Any, values: NDArray[Any]) -> Any:
    if values.dtype == np.float32:
        plain = np.ascontiguousarray(values)
        return pa.array(plain, mask=plain.view(np.uint32) == NAN_BITS)
    if values.dtype == np.float64:
        return pa.array(values, mask=np.isnan(values))
    if values.dtype.kind == "S":
        return pa.array(values, pa.string())
    if values.dtype == object:
        return pa.array(values, pa.string(), mask=values == "")
    return pa.array(np.ascontiguousarray(values))


def _column(pa: Any, table: Any, blocks: Mapping[str, list[str]], name: str) -> NDArray[Any]:
    if name in TIMES:
        kind = TIMES[name]
        whole: NDArray[np.int64] = table[f"{kind}_time"].cast(pa.int64()).to_numpy()
        rest: NDArray[np.int16] = table[f"{kind}_rest_ns"].to_numpy()
        return whole * _US + rest
    columns = [table[called] for called in blocks.get(name, [RENAMED.get(name, name)])]
    if name == "texts":
        return spread_words([_words(column) for column in columns], len(table))
    if name in blocks:
        return beside(
            [_numbers(column) for column in columns],
            len(table),
            np.int64 if name == "integers" else np.float32,
        )
    (column,) = columns
    if pa.types.is_dictionary(column.type):
        return spread_words([_words(column)], len(table))[:, 0]
    return _ids(pa, column.combine_chunks()) if pa.types.is_string(column.type) else _numbers(column)


def _numbers(column: Any) -> NDArray[Any]:
    filled = column.fill_null(np.nan) if column.null_count else column  # with the NaN that stands for missing
    values: NDArray[Any] = filled.to_numpy()
    return values


def _ids(pa: Any, texts: Any) -> NDArray[np.bytes_]:
    """ASCII texts as bytes (S)."""
    width = max(1, pa.compute.max(pa.compute.binary_length(texts)).as_py() or 0)
    padded = pa.compute.ascii_rpad(texts, width, padding="\0")
    return np.frombuffer(padded.buffers()[2], f"S{width}", len(padded), padded.offset * width)


def _words(column: Any) -> tuple[list[str], NDArray[np.integer]]:
    """The values of a column whose texts repeat, and which of them each row has; missing is the empty one."""
    coded = column.unify_dictionaries().combine_chunks()
    values = coded.dictionary.to_pylist()
    which: NDArray[np.integer] = coded.indices.fill_null(len(values)).to_numpy()
    return [*values, ""], which
