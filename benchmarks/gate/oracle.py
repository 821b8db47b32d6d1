"""The e-value beside that of an independent implementation, the `ville` package."""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import Any

import numpy as np
import ville

from trainer.betting import BETS, log_capital, log_e_value

SEED = 20_130_401
STREAMS, UNITS = 500, 150


def compare() -> dict[str, Any]:
    """The largest difference of the logarithm over many streams of several shapes."""
    rng = np.random.default_rng(SEED)
    worst = 0.0
    for _ in range(STREAMS):
        upper = rng.uniform(0.5, 3)
        spread = rng.choice(np.array([1.0, 0.1, 0.01]))
        units = np.clip(rng.uniform(-1, 1, UNITS) * spread + rng.uniform(-0.05, 0.05), -1, upper)
        worst = max(worst, abs(log_e_value(log_capital(units)) - _theirs(units, upper)))
    return {"streams": STREAMS, "units": UNITS, "difference": worst, "ville": version("ville")}


def _theirs(units: np.ndarray[Any, Any], upper: float) -> float:
    """Their bets follow the data up to a cap; so small an alpha makes the cap, which is ours, the bet."""
    logs = []
    for bet in BETS:
        test = ville.BettingTest(0.0, bounds=(-1.0, upper), alternative="greater", alpha=1e-300, c=bet)
        logs.append(float(test.fit(units).log_e_values_[-1]))
    top = max(logs)
    return top + math.log(float(np.mean(np.exp(np.array(logs) - top))))
