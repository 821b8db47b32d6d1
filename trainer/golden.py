"""Golden rows: raw fields beside the score that the original model gave them; a bundle must give the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from sidecar.errors import InvalidRequestError
from sidecar.session import SCORE
from sidecar.signature import Kind
from trainer.errors import ExportError, first_line

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from sidecar.signature import Blocks, Signature

TOLERANCE = 1e-6
_TYPES = {Kind.NUMBER: pa.float64(), Kind.INTEGER: pa.int64(), Kind.TEXT: pa.string()}


@dataclass(frozen=True, eq=False)
class Golden:
    """Rows and the original's scores of them, float64 [n]."""

    file: str
    blocks: Blocks
    score: NDArray[np.float64]


@dataclass(frozen=True)
class Likeness:
    """How far two models' scores are apart, at most and absolutely, over so many rows."""

    rows: int
    difference: float

    def to_json(self) -> dict[str, Any]:
        """What the manifest says. Two digits, so that another machine's last bit makes no other bundle."""
        return {"rows": self.rows, "score_difference": float(f"{self.difference:.1e}")}


def read_golden(path: Path, signature: Signature) -> Golden:
    """Read a .csv or .parquet file with one column for each field and one named "score".

    An empty cell, or null, is a missing value. Raises ExportError naming the column or the row that does not
    fit.
    """
    types = {field.name: _TYPES[field.kind] for field in signature.fields}
    try:
        if path.suffix == ".parquet":
            table = parquet.read_table(path)
        elif path.suffix == ".csv":
            convert = csv.ConvertOptions(
                column_types={**types, SCORE: pa.float64()},
                null_values=[""],
                strings_can_be_null=True,
            )
            table = csv.read_csv(path, convert_options=convert)
        else:
            raise ExportError(f"golden rows {path.name}: give a .csv or a .parquet file")
    except (OSError, pa.ArrowException) as error:
        raise ExportError(f"golden rows {path.name} cannot be read: {first_line(error)}") from error
    if SCORE not in table.column_names:
        raise ExportError(f"golden rows {path.name} have no column 'score', the original's score of each row")
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    try:
        score = np.array(columns.pop(SCORE), np.float64)
    except ValueError as error:
        raise ExportError(f"golden rows {path.name}: a score is no number: {error}") from error
    odd = np.flatnonzero(~((score >= 0) & (score <= 1)))
    if len(odd):
        raise ExportError(
            f"golden rows {path.name}: the score of row {odd[0]} is {score[odd[0]]:g}; "
            "give the probability of the positive label"
        )
    if not len(score):
        raise ExportError(f"golden rows {path.name} has no row")
    try:
        return Golden(path.name, signature.pack_columns(columns), score)
    except InvalidRequestError as error:
        raise ExportError(f"golden rows {path.name}: {error}") from error


def compare(golden: Golden, score: NDArray[np.float32], signature: Signature, tolerance: float) -> Likeness:
    """How far `score`, the bundle's, is from the original's.

    Raises ExportError with the worst row and its fields when it is further than `tolerance`.
    """
    apart = np.abs(score - golden.score)
    apart[np.isnan(apart)] = np.inf  # no score at all is the furthest off
    worst = int(apart.argmax())
    if apart[worst] > tolerance:
        fields = ", ".join(
            f"{name}={'missing' if value is None else value}"
            for name, value in signature.unpack(golden.blocks, worst).items()
        )
        raise ExportError(
            f"golden rows {golden.file}: {np.count_nonzero(apart > tolerance)} of {len(apart)} score "
            f"otherwise than in the original; the worst is row {worst}, {score[worst]:.9g} here and "
            f"{golden.score[worst]:.9g} there, {apart[worst]:.2g} apart, {tolerance:g} is allowed: {fields}"
        )
    return Likeness(len(apart), float(apart[worst]))
