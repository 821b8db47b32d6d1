"""Evidently's DataDriftPreset with its defaults: a column has drifted when its own method says so.

A report goes through the whole reference each time, so here it is a sample of a tenth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drift_windows import answer
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

from benchmarks.drift import rows as data

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = DataDefinition(numerical_columns=list(data.NUMBERS), categorical_columns=list(data.TEXTS))


def fit(reference: pd.DataFrame):  # noqa: ANN201 - as `answer` says
    """The preset compares with the reference anew each time."""
    report = Report([DataDriftPreset()])
    sample = reference.sample(len(reference) // 10, random_state=data.SEED)
    training = Dataset.from_pandas(sample, data_definition=COLUMNS)

    def flags(table: pd.DataFrame) -> set[str]:
        ran = report.run(Dataset.from_pandas(table, data_definition=COLUMNS), training)
        drifted = set()
        for metric in ran.dict()["metrics"]:
            config = metric["config"]
            if config["type"].endswith("ValueDrift"):
                value, threshold = float(metric["value"]), config["threshold"]
                # A method is either a p-value, small when there is drift, or a distance.
                if value < threshold if "p_value" in config["method"] else value >= threshold:
                    drifted.add(config["column"])
        return drifted

    return flags


answer(fit)
