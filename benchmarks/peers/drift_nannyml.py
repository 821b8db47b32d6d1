"""NannyML's univariate drift calculator with its defaults, one chunk for each window."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import nannyml
from drift_windows import answer

from benchmarks.drift import rows as data

if TYPE_CHECKING:
    import pandas as pd

logging.disable(logging.WARNING)
COLUMNS = [*data.NUMBERS, *data.TEXTS]
_CALCULATORS: dict[int, nannyml.UnivariateDriftCalculator] = {}


def fit(reference: pd.DataFrame):  # noqa: ANN201 - as `answer` says
    """Its thresholds come from chunks of the reference, so there is a calculator for each size of window."""
    _CALCULATORS.clear()

    def flags(table: pd.DataFrame) -> set[str]:
        size = len(table)
        if size not in _CALCULATORS:
            calculator = nannyml.UnivariateDriftCalculator(
                column_names=COLUMNS, treat_as_categorical=list(data.TEXTS), chunk_size=size
            )
            _CALCULATORS[size] = calculator.fit(reference.reset_index(drop=True))
        result = _CALCULATORS[size].calculate(table).filter(period="analysis").to_df()
        return {column for column in COLUMNS if _alert(result, column)}

    return flags


def _alert(result: pd.DataFrame, column: str) -> bool:
    alerts = [name for name in result.columns if name[0] == column and name[-1] == "alert"]
    return bool(result[alerts].any(axis=None))


answer(fit)
