"""alibi-detect's TabularDrift: KS and chi-square by feature, Bonferroni over all, at its default of 5 %.

It knows no missing values: a number that has some gets no p-value at all. So they become the reference's
median here, as its users must do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from alibi_detect.cd import TabularDrift
from drift_windows import answer

from benchmarks.drift import rows as data

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (*data.NUMBERS, *data.TEXTS)
CATEGORIES = {len(data.NUMBERS) + place: None for place in range(len(data.TEXTS))}


def fit(reference: pd.DataFrame):  # noqa: ANN201 - as `answer` says
    """Categories become codes; missing and every new category have one of their own."""
    medians = reference[list(data.NUMBERS)].median()
    codes = {
        name: {text: code for code, text in enumerate(sorted(set(reference[name].dropna())))}
        for name in data.TEXTS
    }

    def matrix(table: pd.DataFrame) -> np.ndarray:
        table = table.fillna(medians)
        for name, known in codes.items():
            table[name] = [
                known.get(text, len(known) + (text in (None, "") or text != text))  # noqa: PLR0124 - NaN
                for text in table[name]
            ]
        return table.to_numpy(np.float32)

    detector = TabularDrift(matrix(reference), p_val=0.05, categories_per_feature=CATEGORIES)

    def flags(table: pd.DataFrame) -> set[str]:
        found = detector.predict(matrix(table), drift_type="batch")["data"]
        return {name for name, p in zip(COLUMNS, found["p_val"], strict=True) if p < found["threshold"]}

    return flags


answer(fit)
