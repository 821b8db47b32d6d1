"""What a request must bring: named raw fields, and how they are packed into one block per kind.

The signature is the contract between caller, training and serving. Its digest is part of every bundle.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from sidecar.canonical_json import json_digest
from sidecar.cells import used_words
from sidecar.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

FieldValue = float | int | str | None
"""One raw value; None means missing."""

MAX_TEXT_BYTES = 1024
_MAX_SHOWN = 64  # characters of a caller's field name in an error message
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


class Kind(StrEnum):
    """The kind of a raw field, which decides the block it is packed into."""

    NUMBER = "number"
    """float32; NaN stands for missing."""
    INTEGER = "integer"
    """int64, timestamps included; cannot be missing."""
    TEXT = "text"
    """UTF-8; "" stands for missing."""


_WANTED = {Kind.NUMBER: "a number", Kind.INTEGER: "an integer", Kind.TEXT: "text"}


class Outside(StrEnum):
    """What happens to a number outside its field's bounds."""

    REJECT = "reject"
    """The request is refused: the caller is wrong."""
    MISSING = "missing"
    """The exported graph treats it as missing: the instrument is wrong. Needs `missing_allowed`."""


@dataclass(frozen=True, slots=True)
class Field:
    """One raw field of a record, by the name the caller uses.

    Raises ValueError when the parts contradict each other.
    """

    name: str
    kind: Kind = Kind.NUMBER
    missing_allowed: bool = False
    lower: float | None = None
    upper: float | None = None
    outside: Outside = Outside.REJECT
    unit: str = ""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"field {self.name!r}: a name is letters, digits and underscores")
        if self.kind is Kind.INTEGER and self.missing_allowed:
            raise ValueError(f"field {self.name!r}: an integer cannot be missing; declare it a number")
        if self.kind is Kind.TEXT and (self.lower is not None or self.upper is not None):
            raise ValueError(f"field {self.name!r}: text has no bounds")
        if self.lower is not None and self.upper is not None and not self.lower <= self.upper:
            raise ValueError(f"field {self.name!r}: lower is {self.lower:g}, above upper {self.upper:g}")
        if self.outside is Outside.MISSING and not (self.kind is Kind.NUMBER and self.missing_allowed):
            raise ValueError(f"field {self.name!r}: outside=missing needs a number that may be missing")


def flag(name: str, *, missing_allowed: bool = False) -> Field:
    """Declare a field that is true or false: 1 or 0, an integer, or a number where it may be missing."""
    kind = Kind.NUMBER if missing_allowed else Kind.INTEGER
    return Field(name, kind, missing_allowed, lower=0, upper=1)


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Raw records, packed: one matrix per kind, rows in the same order, columns in the signature's order.

    numbers: float32 [rows, number fields]; integers: int64 [rows, integer fields];
    texts: object (str) [rows, text fields]. A kind without fields has zero columns. coded: where whoever made
    the blocks knows it, of each text field the distinct texts (perhaps some that no row has) and, integer
    [rows], which of them a row has.
    """

    numbers: NDArray[np.float32]
    integers: NDArray[np.int64]
    texts: NDArray[np.object_]
    coded: Sequence[tuple[Sequence[str], NDArray[np.integer]]] | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: Any) -> Blocks:
        """The rows that a slice, index array or mask selects."""
        coded = None if self.coded is None else [(texts, of_row[rows]) for texts, of_row in self.coded]
        return Blocks(self.numbers[rows], self.integers[rows], self.texts[rows], coded)

    def with_used_texts(self) -> Blocks:
        """The same rows; `coded` has no text that no row has."""
        if self.coded is None:
            return self
        return replace(self, coded=[used_words(texts, of_row) for texts, of_row in self.coded])

    @staticmethod
    def concat(parts: Sequence[Blocks]) -> Blocks:
        """All rows of `parts` (at least one), in order."""
        if len(parts) == 1:
            return parts[0]
        return Blocks(
            np.concatenate([part.numbers for part in parts]),
            np.concatenate([part.integers for part in parts]),
            np.concatenate([part.texts for part in parts]),
        )

    def equals(self, other: Blocks) -> bool:
        """Equal bit for bit (NaN equals the same NaN)."""
        return (
            self.numbers.shape == other.numbers.shape
            and self.numbers.tobytes() == other.numbers.tobytes()
            and np.array_equal(self.integers, other.integers)
            and np.array_equal(self.texts, other.texts)
        )


@dataclass(frozen=True)
class Signature:
    """The raw fields of a task, in order.

    Raises ValueError for no field or for a name given twice.
    """

    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        if not names:
            raise ValueError("a signature needs at least one field")
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"fields declared twice: {', '.join(sorted(twice))}")

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of the canonical JSON of the fields."""
        return json_digest(self.to_json())

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Fields by name."""
        return {field.name: field for field in self.fields}

    @cached_property
    def numbers(self) -> tuple[Field, ...]:
        """Columns of the numbers block."""
        return self._of(Kind.NUMBER)

    @cached_property
    def integers(self) -> tuple[Field, ...]:
        """Columns of the integers block."""
        return self._of(Kind.INTEGER)

    @cached_property
    def texts(self) -> tuple[Field, ...]:
        """Columns of the texts block."""
        return self._of(Kind.TEXT)

    def column(self, name: str) -> tuple[Kind, int] | None:
        """Where the field of this name is: its kind, and its column in that block; None without one."""
        field = self.by_name.get(name)
        return None if field is None else (field.kind, self._of(field.kind).index(field))

    def _of(self, kind: Kind) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.kind is kind)

    def to_json(self) -> list[dict[str, Any]]:
        """The fields as plain data."""
        return [asdict(field) for field in self.fields]

    @classmethod
    def from_json(cls, data: Iterable[Mapping[str, Any]]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            tuple(
                Field(**{**item, "kind": Kind(item["kind"]), "outside": Outside(item["outside"])})
                for item in data
            )
        )

    def check_names(self, given: Mapping[str, Any]) -> None:
        """Check that every field is given and nothing else; raises InvalidRequestError naming a field."""
        if given.keys() == self.by_name.keys():
            return
        for name in given:
            if name not in self.by_name:
                shown = name[:_MAX_SHOWN]  # a caller's megabytes are neither compared nor repeated
                near = difflib.get_close_matches(shown, self.by_name, n=1)
                hint = f"; did you mean '{near[0]}'?" if near else "; remove it"
                raise InvalidRequestError(f"field {shown!a} is not in the signature{hint}")
        for field in self.fields:
            if field.name not in given:
                fix = "send it as missing" if field.missing_allowed else f"send {_WANTED[field.kind]}"
                raise InvalidRequestError(f"field '{field.name}' is left out; {fix}")

    def pack(self, record: Mapping[str, FieldValue]) -> Blocks:
        """One record as one-row blocks.

        Raises InvalidRequestError naming the first field that is unknown, left out, mistyped, missing
        where that is not allowed, or out of bounds.
        """
        self.check_names(record)
        numbers = np.empty((1, len(self.numbers)), np.float32)
        for column, field in enumerate(self.numbers):
            numbers[0, column] = _number(field, record[field.name])
        integers = np.empty((1, len(self.integers)), np.int64)
        for column, field in enumerate(self.integers):
            integers[0, column] = _integer(field, record[field.name])
        texts = np.empty((1, len(self.texts)), object)
        for column, field in enumerate(self.texts):
            texts[0, column] = _text(field, record[field.name])
        return Blocks(numbers, integers, texts)

    def pack_columns(self, columns: Mapping[str, Sequence[FieldValue] | NDArray[Any]]) -> Blocks:
        """Many records given as columns of equal length; the same checks as `pack`, column by column.

        Raises InvalidRequestError naming the field and the first row that does not fit.
        """
        self.check_names(columns)
        rows = len(next(iter(columns.values())))
        for name, column in columns.items():
            if len(column) != rows:
                raise InvalidRequestError(f"field '{name}' has {len(column)} rows, others have {rows}")
        return Blocks(
            _stack([_number_column(field, columns[field.name]) for field in self.numbers], rows, np.float32),
            _stack([_integer_column(field, columns[field.name]) for field in self.integers], rows, np.int64),
            _stack([_text_column(field, columns[field.name]) for field in self.texts], rows, object),
        )

    def unpack(self, blocks: Blocks, row: int) -> dict[str, FieldValue]:
        """One row as named values, None where missing; the inverse of `pack` up to float32."""
        values: dict[str, FieldValue] = {}
        for column, field in enumerate(self.numbers):
            number = float(blocks.numbers[row, column])
            values[field.name] = None if math.isnan(number) else number
        for column, field in enumerate(self.integers):
            values[field.name] = int(blocks.integers[row, column])
        for column, field in enumerate(self.texts):
            values[field.name] = blocks.texts[row, column] or None
        return {field.name: values[field.name] for field in self.fields}


def _number(field: Field, value: FieldValue) -> float:
    if value is None or value != value:  # noqa: PLR0124 - NaN is the only value unequal to itself
        if not field.missing_allowed:
            raise InvalidRequestError(f"field '{field.name}' must not be missing; send a number")
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise InvalidRequestError(f"field '{field.name}' is {_name_of(value)}; send a number")
    if not -_FLOAT32_MAX <= value <= _FLOAT32_MAX:
        raise InvalidRequestError(f"field '{field.name}' is {value!r}; send a finite float32 number")
    if field.outside is Outside.REJECT:
        _check_bounds(field, value)
    return value


def _integer(field: Field, value: FieldValue) -> int:
    if value is None:
        raise InvalidRequestError(f"field '{field.name}' must not be missing; send an integer")
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InvalidRequestError(f"field '{field.name}' is {_name_of(value)}; send an integer")
    if not _INT64_MIN <= value <= _INT64_MAX:
        raise InvalidRequestError(f"field '{field.name}' is {value}; send an integer of 64 bits")
    _check_bounds(field, value)
    return value


def _text(field: Field, value: FieldValue) -> str:
    if value is None or value == "":
        if not field.missing_allowed:
            raise InvalidRequestError(f"field '{field.name}' must not be missing; send text")
        return ""
    if not isinstance(value, str):
        raise InvalidRequestError(f"field '{field.name}' is {_name_of(value)}; send text")
    if "\0" in value or len(value.encode(errors="surrogatepass")) > MAX_TEXT_BYTES:
        raise InvalidRequestError(
            f"field '{field.name}' has a NUL character or over {MAX_TEXT_BYTES} bytes; send shorter text"
        )
    return value


def _check_bounds(field: Field, value: float) -> None:
    if (field.lower is not None and value < field.lower) or (field.upper is not None and value > field.upper):
        lower = "-inf" if field.lower is None else f"{field.lower:g}"
        upper = "inf" if field.upper is None else f"{field.upper:g}"
        raise InvalidRequestError(f"field '{field.name}' is {value:g}; send a value from {lower} to {upper}")


def _name_of(value: object) -> str:
    names = {bool: "a truth value", str: "text", int: "an integer", float: "a real number"}
    return names.get(type(value), f"a {type(value).__name__}")


def _stack(columns: list[NDArray[Any]], rows: int, dtype: type) -> NDArray[Any]:
    block: NDArray[Any] = np.empty((rows, len(columns)), dtype)
    for index, column in enumerate(columns):
        block[:, index] = column
    return block


def _number_column(field: Field, column: Sequence[FieldValue] | NDArray[Any]) -> NDArray[Any]:
    if not (isinstance(column, np.ndarray) and column.dtype.kind in "fiu"):
        return np.array(_each(field, column, _number), np.float64)
    values = column.astype(np.float64)
    missing = np.isnan(values)
    values[missing] = np.nan  # one NaN of the many, so that the same record is the same bits
    bad = np.abs(values) > _FLOAT32_MAX
    if not field.missing_allowed:
        bad |= missing
    if field.outside is Outside.REJECT:
        bad |= _outside(field, values)
    if bad.any():
        _each(field, values.tolist(), _number)
    return values


def _integer_column(field: Field, column: Sequence[FieldValue] | NDArray[Any]) -> NDArray[Any]:
    if not (isinstance(column, np.ndarray) and column.dtype.kind == "i"):
        values = column.tolist() if isinstance(column, np.ndarray) else column
        return np.array(_each(field, values, _integer), np.int64)
    if _outside(field, column).any():
        _each(field, column.tolist(), _integer)
    return column


def _text_column(field: Field, column: Sequence[FieldValue] | NDArray[Any]) -> NDArray[Any]:
    texts = np.empty(len(column), object)
    texts[:] = _each(field, column, _text)
    return texts


def _outside(field: Field, values: NDArray[Any]) -> NDArray[np.bool_]:
    outside = np.zeros(len(values), bool)
    if field.lower is not None:
        outside |= values < field.lower
    if field.upper is not None:
        outside |= values > field.upper
    return outside


def _each(
    field: Field,
    column: Iterable[FieldValue],
    check: Callable[[Field, FieldValue], FieldValue],
) -> list[FieldValue]:
    checked: list[FieldValue] = []
    for row, value in enumerate(column):
        try:
            checked.append(check(field, value))
        except InvalidRequestError as error:
            raise InvalidRequestError(f"{error} (row {row})") from None
    return checked
