"""What the procedure makes of the flights example, week by week, and with other bounds declared."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import numpy as np

from benchmarks.environments import ROOT
from trainer.betting import e_value, log_capital
from trainer.budget import ErrorShare
from trainer.days import DAY_NS, iso_day, moment
from trainer.interval import Day, gain_interval
from trainer.task import load_task
from trainer.units import Units, pair, sum_units

EXAMPLE = ROOT / "examples" / "flights"
BEGIN, WEEKS = "2013-05-02", 34
"""The first whole UTC day of the demo's shadows, and the whole weeks that are left of the year."""
TRIED = 5
"""Candidates that the demo puts into the shadow together."""
BOUNDS = (300_000.0, 400_000.0, 480_000.0, 600_000.0, 1_000_000.0, 3_200_000.0)
"""Largest losses of a day, in dollars, of which the task declares one."""
_LOOKS = {3: "demo's first look", 8: "second", 12: "third"}


def replay() -> dict[str, Any]:
    """Fit as the demo does, with plain scikit-learn, and bet on whole days from 2 May on."""
    sys.path.insert(0, str(EXAMPLE))
    from check_reference import Judge  # noqa: PLC0415 - the example is a folder of scripts
    from flights_data import load_flights, new_york_ns  # noqa: PLC0415

    task = load_task(EXAMPLE / "task.py")
    flights = load_flights()
    judge = Judge(task, flights, task.signature.pack_columns(flights.columns))
    positive, negative = task.costs.stakes(task.signature, judge.blocks)

    def decide(recipe: str, known: str) -> np.ndarray[Any, Any]:
        score = judge.score(recipe, new_york_ns(known))
        return np.asarray(score * positive + (1 - score) * negative > 0)

    champion = decide(task.champion, "2013-03-16")
    begin_day = moment_day(BEGIN)
    rows = np.flatnonzero(flights.event_ns >= begin_day * DAY_NS)
    blocks = judge.blocks.take(rows)
    bound = task.policy.largest_unit_loss
    share = ErrorShare(0, TRIED)
    recipes = []
    for recipe in task.candidates:
        candidate = decide(recipe, "2013-05-01")
        nothing = np.zeros(len(rows), np.int64)
        pairs = pair(
            task.costs,
            task.signature,
            blocks,
            flights.label[rows],
            decisions=(champion[rows], candidate[rows]),
            cpu_ns=(nothing, nothing),
        )
        units = sum_units(task.signature, blocks, flights.event_ns[rows], pairs, entity=None, wanted=0.0)
        weeks = []
        for week in range(1, WEEKS + 1):
            inside = units.until(begin_day + 7 * week)
            count = np.searchsorted(flights.event_ns[rows], (begin_day + 7 * week) * DAY_NS)
            sizes = np.bincount(flights.event_ns[rows][:count] // DAY_NS - begin_day)
            gain = np.zeros(len(sizes))
            gain[inside.day - begin_day] = inside.gain
            shown = gain_interval(
                [
                    Day("", int(size), 0, 0.0, 0.0, one)
                    for size, one in zip(sizes, gain.tolist(), strict=True)
                ],
                0.95,
            )
            weeks.append(
                {
                    "week": week,
                    "until": iso_day((begin_day + 7 * week - 1) * DAY_NS),
                    "look": _LOOKS.get(week, ""),
                    "for": e_value(log_capital(inside.gain / bound)),
                    "against": e_value(log_capital(np.maximum(-inside.gain / bound, -1))),
                    "gain": shown.estimate,
                    "lower": shown.lower,
                    "upper": shown.upper,
                }
            )
        recipes.append(
            {
                "recipe": recipe,
                "most_at_risk": float(units.risk.max()),
                "worst_day": float(units.gain.min()),
                "weeks": weeks,
                "bounds": {str(int(one)): _week(units, begin_day, one, share) for one in BOUNDS},
            }
        )
    return {
        "wanted": share.wanted(task.policy.error),
        "bound": bound,
        "tried": TRIED,
        "begin": BEGIN,
        "recipes": recipes,
    }


def moment_day(date: str) -> int:
    """The number of a UTC day since the epoch."""
    return moment(datetime.fromisoformat(date)) // DAY_NS


def _week(units: Units, begin_day: int, bound: float, share: ErrorShare) -> int | None:
    """The week at whose end the candidate is promoted, with another largest loss of a day declared."""
    for week in range(1, WEEKS + 1):
        inside = units.until(begin_day + 7 * week)
        if e_value(log_capital(np.maximum(inside.gain / bound, -1))) >= share.wanted(0.05):
            return week
    return None
