"""Rows of the log by name, filtered: what `sidecar log query` prints and `sidecar log export` writes."""

from __future__ import annotations

import csv
import json
import operator
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from sidecar.codec import SCORE_COLUMNS, SERVED_COLUMNS
from sidecar.domain import to_texts
from sidecar.errors import ConfigError, InvalidRequestError
from sidecar.store.layout import BLOCKS
from sidecar.store.parquet import NAN_BITS, RENAMED, TIMES, pyarrow, to_table, write_table
from sidecar.store.sealed import KIND_OUTCOMES, KIND_SCORES, KIND_SERVED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from sidecar.codec import Columns
    from sidecar.store.layout import Layout, Layouts
    from sidecar.store.reader import LogReader

KINDS = (KIND_SERVED, KIND_SCORES, KIND_OUTCOMES)
FORMATS = (".parquet", ".csv", ".jsonl")
_OPERATORS = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = re.compile(r"\s*([^\s<>=!]+)\s*(!=|<=|>=|=|<|>)\s*(.*?)\s*")


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that holds of a row: a column's value compared with a constant. Missing fits nothing."""

    column: str
    compare: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """From text such as "amount >= 10". Raises InvalidRequestError when it is none."""
        found = _CONDITION.fullmatch(text)
        if found is None:
            raise InvalidRequestError(f"{text!r} is no condition; write COLUMN=VALUE, or with != < <= > >=")
        return cls(*found.groups())

    def holds(self, values: Sequence[Any]) -> NDArray[np.bool_]:
        """For each value; raises InvalidRequestError when the constant is not of their kind."""
        compare = _OPERATORS[self.compare]
        try:
            given = [None if value is None else compare(value, self._like(value)) for value in values]
        except ValueError:
            raise InvalidRequestError(f"{self.column} has numbers; {self.value!r} is none") from None
        return np.array([bool(each) for each in given], np.bool_)

    def _like(self, value: object) -> Any:
        if isinstance(value, bool):
            return self.value.lower() in ("true", "1", "yes")
        return self.value if isinstance(value, str) else float(self.value)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows.

    kind: one of KINDS. since_ns, until_ns: event times of served rows, observation times of outcomes; scores
    have no time of their own. model: the digest of the champion, or of the candidate for scores.
    """

    kind: str
    since_ns: int | None = None
    until_ns: int | None = None
    model: str | None = None
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Extract:
    """Rows that were read together. facts: the same of each row."""

    columns: Columns
    layout: Layout | None
    facts: dict[str, str]

    def named(self) -> dict[str, list[Any]]:
        """The columns by the name that they have in tables, as plain values; None where missing."""
        plain: dict[str, list[Any]] = {}
        for name, values in self.columns.items():
            if name in TIMES:
                plain[f"{TIMES[name]}_time"] = [_iso(moment) for moment in values.tolist()]
            elif name in BLOCKS:
                assert self.layout is not None
                for place, called in enumerate(getattr(self.layout, name)):
                    plain[called] = _plain(values[:, place])
            else:
                plain[RENAMED.get(name, name)] = _plain(values)
        rows = len(next(iter(plain.values())))
        return {**plain, **{name: [fact] * rows for name, fact in self.facts.items()}}


def select(reader: LogReader, layouts: Layouts, selection: Selection) -> Iterator[Extract]:
    """The rows selected, some at a time; of each request's outcomes the one observed last.

    Raises InvalidRequestError for a condition on a column that rows do not have.
    """
    for extract in _extracts(reader, layouts, selection):
        if not selection.conditions:
            yield extract
            continue
        named = extract.named()
        kept = np.ones(len(next(iter(named.values()))), np.bool_)
        for condition in selection.conditions:
            if condition.column not in named:
                raise InvalidRequestError(
                    f"rows have no column {condition.column!r}; they have: {', '.join(named)}"
                )
            kept &= condition.holds(named[condition.column])
        if kept.any():
            columns = {name: values[kept] for name, values in extract.columns.items()}
            yield Extract(columns, extract.layout, extract.facts)


def write(extracts: Iterator[Extract], path: Path) -> int:
    """Write rows into a new file of one of FORMATS, which its name ends with; gives how many.

    Raises ConfigError for another ending, for a file that is there, and for Parquet without pyarrow.
    """
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path.name} ends with none of: {', '.join(FORMATS)}; choose one")
    if path.exists():
        raise ConfigError(f"{path} is there already; choose another name")
    writers = {".parquet": _write_parquet, ".csv": _write_csv, ".jsonl": _write_lines}
    try:
        return writers[path.suffix](extracts, path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _extracts(reader: LogReader, layouts: Layouts, selection: Selection) -> Iterator[Extract]:
    since_ns, until_ns = selection.since_ns, selection.until_ns
    if selection.kind == KIND_SERVED:
        for part in reader.served_parts(
            SERVED_COLUMNS, since_ns=since_ns, until_ns=until_ns, champion=selection.model
        ):
            model = part.model
            facts = {"task": model.name, "version": model.version, "digest": model.digest}
            columns = dict(part.columns)
            yield Extract(columns, layouts.of(model.digest, columns), facts)
    elif selection.kind == KIND_SCORES:
        if since_ns is not None or until_ns is not None:
            raise InvalidRequestError("scores have no time of their own; leave --since and --until out")
        for part in reader.score_parts(SCORE_COLUMNS, selection.model, None):
            assert part.champion is not None
            model, champion = part.model, part.champion
            facts = {"task": model.name, "version": model.version, "digest": model.digest}
            facts |= {"champion": champion.version, "champion_digest": champion.digest}
            yield Extract(dict(part.columns), None, facts)
    else:
        found = reader.outcomes(None if until_ns is None else until_ns - 1, since_ns)
        names = ("request_ids", "label", "value", "observed_ns")
        if len(found):
            yield Extract({name: getattr(found, name) for name in names}, None, {})


def _write_lines(extracts: Iterator[Extract], path: Path) -> int:
    rows = 0
    with path.open("w") as file:
        for line in lines(extracts):
            file.write(line + "\n")
            rows += 1
    return rows


def lines(extracts: Iterator[Extract]) -> Iterator[str]:
    """Each row as a JSON object."""
    for extract in extracts:
        named = extract.named()
        for row in zip(*named.values(), strict=True):
            yield json.dumps(dict(zip(named, row, strict=True)))


def _write_csv(extracts: Iterator[Extract], path: Path) -> int:
    rows = 0
    head: list[str] = []
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        for extract in extracts:
            named = extract.named()
            if not head:
                head = list(named)
                writer.writerow(head)
            if list(named) != head:
                raise ConfigError("the rows have different columns; name one version with --model")
            for row in zip(*named.values(), strict=True):
                writer.writerow(row)
                rows += 1
    return rows


def _write_parquet(extracts: Iterator[Extract], path: Path) -> int:
    pa = pyarrow()
    tables = [to_table(extract.columns, extract.layout, extract.facts) for extract in extracts]
    if not tables:
        return 0
    # Rows of models with other columns have nulls there.
    table = pa.concat_tables([each.replace_schema_metadata() for each in tables], promote_options="default")
    write_table(table, path)
    return int(table.num_rows)


def _plain(values: NDArray[Any]) -> list[Any]:
    if values.dtype.kind == "S":
        return to_texts(values)
    listed: list[Any] = values.tolist()
    if values.dtype == np.float32:
        missing = np.ascontiguousarray(values).view(np.uint32) == NAN_BITS
        return [None if absent else value for value, absent in zip(listed, missing.tolist(), strict=True)]
    if values.dtype == np.float64:
        return [None if value != value else value for value in listed]  # noqa: PLR0124 - NaN alone differs
    return [None if value == "" else value for value in listed] if values.dtype == object else listed


def _iso(moment_ns: int) -> str:
    seconds, rest = divmod(moment_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
