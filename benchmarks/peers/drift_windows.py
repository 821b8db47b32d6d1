"""The synthetic windows as a peer's monitor takes them, and the questions each one is asked."""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.drift import rows as data

if TYPE_CHECKING:
    from collections.abc import Callable

warnings.simplefilter("ignore")


def frame(rows: data.Rows) -> pd.DataFrame:
    """A table with None for missing texts, as a log gives it."""
    numbers = pd.DataFrame(rows.numbers.astype(np.float64), columns=list(data.NUMBERS))
    texts = pd.DataFrame(np.where(rows.texts == "", None, rows.texts), columns=list(data.TEXTS))
    return pd.concat([numbers, texts], axis=1)


def cyclic_training() -> pd.DataFrame:
    """The weeks before the cycle's first day, thinned to as many rows as the other reference has."""
    hours = [frame(data.cyclic_hour(hour)) for hour in range(-24 * data.CYCLE_TRAINING_DAYS, 0)]
    return pd.concat(hours).sample(data.REFERENCE_ROWS, random_state=data.SEED)


def answer(fit: Callable[[pd.DataFrame], Callable[[pd.DataFrame], set[str]]]) -> None:
    """Ask about every kind of window and print JSON.

    fit: from a reference table, a function from a table of one window to the set of flagged columns.
    """
    windows, trials, hours = (int(argument) for argument in sys.argv[1:4])
    began = time.monotonic()
    flags = fit(frame(data.reference()))
    null, detection = [], []
    for size in data.NULL_ROWS:
        found = [bool(flags(frame(data.null_window(size, number)))) for number in range(windows)]
        null.append({"rows": size, "windows": windows, "flagged": sum(found)})
        print(null[-1], f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    for change in data.CHANGES:
        found = [change.feature in flags(frame(change.window(number))) for number in range(trials)]
        detection.append({"change": change.name, "rows": change.rows, "trials": trials, "found": sum(found)})
        print(detection[-1], f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    flags = fit(cyclic_training())
    found = [bool(flags(frame(data.cyclic_hour(hour)))) for hour in range(hours)]
    cycle = {"hours": hours, "flagged": sum(found)}
    print(json.dumps({"null": null, "detection": detection, "cycle": cycle}))
