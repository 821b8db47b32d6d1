"""The joined slice of the log as one Arrow table: what was served, how it ended, what candidates made of it.

Needs pyarrow, the extra `parquet`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.codec import SERVED_COLUMNS
from sidecar.errors import InvalidRequestError, NotFoundError
from sidecar.store.joining import (
    CLOCK_SLACK_NS,
    EARLIEST_OUTCOME_NS,
    NO_ENTRY,
    choose_entries,
    choose_outcomes,
    choose_rows,
)
from sidecar.store.layout import unlike
from sidecar.store.parquet import RENAMED, RESERVED, TIMES, pyarrow, to_table
from sidecar.store.part import joined_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from sidecar.codec import Columns
    from sidecar.domain import ModelId
    from sidecar.store.layout import Layouts
    from sidecar.store.part import PackedColumns, Part
    from sidecar.store.reader import LogReader
    from sidecar.store.request_index import RequestIndex

_KEYS = ("request_ids", "event_ns", "received_ns")
_OUTCOME = ("label", "value", "observed_time", "observed_rest_ns")
_MADE = ("score", "decision", "failure", "infer_ns", "cpu_ns")


@dataclass(frozen=True, slots=True)
class Period:
    """since_ns <= event_ns < until_ns, with outcomes observed by as_of_ns; None stands for no limit."""

    since_ns: int | None = None
    until_ns: int | None = None
    as_of_ns: int | None = None


def read_slice(
    reader: LogReader,
    layouts: Layouts,
    period: Period = Period(),
    *,
    champion: str | None = None,
    candidates: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> Any:
    """A pyarrow.Table of the rows of a period, each request once, ordered by (event time, request id).

    Names and types as in the Parquet files: the columns of served rows; `label`, `value` and `observed_time`,
    null where no outcome is known; and for each candidate `score_<version>`, `decision_<version>`,
    `failure_<version>`, `infer_ns_<version>` and `cpu_ns_<version>`, null where it has no entry. Which row of
    a request counts, and which outcome and entry, is as in the trainer (`sidecar.store.joining`). A name that
    another column has gets a number.

    champion, candidates: digests; all when not given. columns: names, all when not given; what no asked
    served row's column needs is not read. Raises NotFoundError when no row was served then,
    InvalidRequestError for a name that the rows do not have, ConfigError without pyarrow, else as the reader.
    """
    pa = pyarrow()
    wanted = None if columns is None else frozenset(columns)
    parts = list(_served(reader, layouts, period, champion, wanted))
    if not parts:
        raise NotFoundError("no row was served in that period; name another one, or another champion")
    known = {name: np.concatenate([part.columns[name] for part in parts]) for name in _KEYS}
    chosen = choose_rows(**known)
    table = _table(pa, layouts, parts, chosen.rows)
    rows = _Rows(known["event_ns"][chosen.rows], int(known["received_ns"].min()), chosen.index)
    taken = {name.lower() for name in table.column_names}
    for part in parts:
        taken |= {name.lower() for name in layouts.names(part.model.digest)}
    names = {name: unlike(taken, name) for name in _OUTCOME}
    if wanted is None or not wanted.isdisjoint(names.values()):
        table = _append(table, names, _outcomes(pa, reader, period, rows))
    if wanted is None or not wanted <= set(table.column_names):
        for version, made in _made(pa, reader, champion, candidates, rows):
            table = _append(table, {name: unlike(taken, f"{name}_{version}") for name in made}, made)
    if wanted is None:
        return table
    if unknown := sorted(wanted.difference(table.column_names)):
        known_names = ", ".join(table.column_names)
        raise InvalidRequestError(f"rows have no column {unknown[0]!r}; those read have: {known_names}")
    return table.select(list(columns or ()))


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """The rows of the table: event_ns of each, when the first was received, and which has an id."""

    event_ns: NDArray[np.int64]
    first_received_ns: int
    index: RequestIndex

    def __len__(self) -> int:
        return len(self.event_ns)


def _served(
    reader: LogReader, layouts: Layouts, period: Period, champion: str | None, wanted: frozenset[str] | None
) -> Iterator[Part]:
    names: set[str] = set(SERVED_COLUMNS)
    if wanted is not None:
        names = {*_KEYS, *(name for name in SERVED_COLUMNS if RENAMED.get(name, name) in wanted)}
        names |= {name for name, kind in TIMES.items() if {f"{kind}_time", f"{kind}_rest_ns"} & wanted}
        for model in reader.models().values():
            if champion in (None, model.digest):
                names |= layouts.blocks_with(model.digest, wanted - RESERVED)
    asked = [name for name in SERVED_COLUMNS if name in names]
    return reader.served_parts(asked, since_ns=period.since_ns, until_ns=period.until_ns, champion=champion)


def _table(pa: Any, layouts: Layouts, parts: Sequence[Part], rows: NDArray[np.int64]) -> Any:
    tables = []
    for part in parts:
        model = part.model
        facts = {"task": model.name, "version": model.version, "digest": model.digest}
        columns = dict(part.columns)
        table = to_table(columns, layouts.of(model.digest, columns), facts)
        tables.append(table.replace_schema_metadata())
    # Rows of models with other columns have nulls there.
    table = pa.concat_tables(tables, promote_options="default").combine_chunks()
    return table if np.array_equal(rows, np.arange(len(table))) else table.take(pa.array(rows))


def _append(table: Any, names: Mapping[str, str], arrays: Mapping[str, Any]) -> Any:
    for name, values in arrays.items():
        table = table.append_column(names[name], values)
    return table


def _outcomes(pa: Any, reader: LogReader, period: Period, rows: _Rows) -> dict[str, Any]:
    since_ns = None if period.since_ns is None else period.since_ns - EARLIEST_OUTCOME_NS
    found = reader.outcomes(period.as_of_ns, since_ns)
    entry = choose_outcomes(found.observed_ns, rows.event_ns, rows.index.rows_of(found.request_ids))
    columns = {name: getattr(found, name) for name in ("label", "value", "observed_ns")}
    return _arrays(pa, columns, entry)


def _made(
    pa: Any, reader: LogReader, champion: str | None, candidates: Sequence[str] | None, rows: _Rows
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The version of each candidate, and its columns."""
    since_ns = rows.first_received_ns - CLOCK_SLACK_NS
    parts: defaultdict[ModelId, list[PackedColumns]] = defaultdict(list)
    for part in reader.score_parts(("request_ids", *_MADE), None, champion, written_since_ns=since_ns):
        if candidates is None or part.model.digest in candidates:
            parts[part.model].append(part.columns)
    for candidate, of in parts.items():
        found = joined_columns(of[1:], of[0])
        entry = choose_entries(found, rows.index.rows_of(found.pop("request_ids")), len(rows))
        if (entry != NO_ENTRY).any():
            yield candidate.version, _arrays(pa, found, entry)


def _arrays(pa: Any, columns: Columns, entry: NDArray[np.int64]) -> dict[str, Any]:
    """Table columns of what stands at `entry`, null where nothing does."""
    table = to_table(columns, None, {})
    at = pa.array(entry, mask=entry == NO_ENTRY)
    return {name: table[name].take(at) for name in table.column_names}
