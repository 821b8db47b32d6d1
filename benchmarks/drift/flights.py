"""Real drift: the flights of 2013, watched with the reference of the rows before 16 March.

The demo's first champion is fitted on those, as `trainer fit` does it; every later flight is then scored by
it and counted, hour by hour, and the monitor looks at each day with its default settings.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from benchmarks.drift.replay import Champion, Served
from benchmarks.environments import ROOT, WORK
from sidecar.config import Drift
from sidecar.drift.scale import DAY_NS

UNTIL = "2013-03-16"


def measure() -> dict[str, Any]:
    """Every finding of the year: when it opened and closed, and what it said when it opened."""
    sys.path.insert(0, str(ROOT / "examples" / "flights"))
    from flights_data import load_flights, new_york_ns  # noqa: PLC0415 - the example is a folder of scripts
    from task import task  # noqa: PLC0415

    cut_ns = new_york_ns(UNTIL)
    champion = Champion.fitted(task, cut_ns, WORK / "drift")
    later = load_flights().between(cut_ns, 2**62)
    served = Served.by(champion, later.columns, later.event_ns)
    return {
        "model": str(champion.bundle.model),
        "rows": len(later),
        "training_rows": champion.reference.profile.rows,
        "days": len(np.unique(served.hour_ns // DAY_NS)),
        "findings": served.watched(Drift()).findings,
    }
