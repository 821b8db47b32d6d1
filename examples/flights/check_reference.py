"""How the task's recipes do with plain scikit-learn, beside figures that were computed independently.

    python examples/flights/check_reference.py

Each recipe is fitted on what was known on 16 March and judged on all decisions of the year after it. No graph
is exported: this checks the data, the features and the money, not the export.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from flights_data import load_flights, new_york_day, new_york_ns
from sklearn.metrics import accuracy_score, roc_auc_score

from trainer.interval import Day, Interval, gain_interval
from trainer.task import load_task
from trainer.transform import fit_transform

if TYPE_CHECKING:
    from flights_data import Flights
    from numpy.typing import NDArray

    from sidecar.signature import Blocks
    from trainer.task import Task

CUT = "2013-03-16"
RETRAINED = "2013-05-01"
MONTHS = ("03-16", "04-01", "05-01", "06-01", "07-01", "08-01", "09-01", "10-01", "11-01", "12-01")
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Reference:
    """Dollars per 1,000 decisions, accuracy and AUC from another implementation of the same task."""

    dollars: float
    accuracy: float
    auc: float


REFERENCES = {
    "logistic": Reference(11_407, 0.823, 0.695),
    "boosting": Reference(25_834, 0.839, 0.761),
    "big_forest": Reference(27_709, 0.835, 0.765),
    "boosting_balanced": Reference(-12_646, 0.798, 0.762),
}


@dataclass(frozen=True, eq=False)
class Judge:
    """The task's raw rows with labels and stakes, ready to fit recipes on and to price decisions with."""

    task: Task
    flights: Flights
    blocks: Blocks

    def score(self, recipe: str, until_ns: int) -> NDArray[np.float64]:
        """Fit a recipe on what was known at `until_ns`; return its score of every flight of the year."""
        candidate = self.task.candidates[recipe]
        known = np.flatnonzero(self.flights.known_ns < until_ns)
        label = self.flights.label[known]
        transform = fit_transform(candidate.transform, self.task.signature, self.blocks.take(known), label)
        features = transform.reference(self.blocks).astype(np.float32)
        model = candidate.estimator().fit(features[known], label)
        score: NDArray[np.float64] = model.predict_proba(features)[:, 1]
        return score

    def money(self, score: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the dollars that each decision by expected utility earned."""
        positive, negative = self.task.costs.stakes(self.task.signature, self.blocks)
        decision = score * positive + (1 - score) * negative > 0
        return self.task.costs.utility(self.task.signature, self.blocks, decision, self.flights.label)

    def interval(self, money: NDArray[np.float64], rows: NDArray[np.bool_]) -> Interval:
        """Give dollars per 1,000 decisions over `rows`, with whole New York days as units."""
        days, unit = np.unique(new_york_day(self.flights.event_ns[rows]), return_inverse=True)
        decisions, earned = np.bincount(unit), np.bincount(unit, weights=money[rows])
        units = [
            Day(str(day), int(count), 0, 0.0, dollars, dollars)
            for day, count, dollars in zip(days, decisions, earned.tolist(), strict=True)
        ]
        return gain_interval(units, CONFIDENCE)


def main() -> None:
    """Print the recipes beside their references, then month by month, then retrained."""
    task = load_task(Path(__file__).with_name("task.py"))
    flights = load_flights()
    judge = Judge(task, flights, task.signature.pack_columns(flights.columns))
    after = flights.event_ns >= new_york_ns(CUT)
    trained_on = np.count_nonzero(flights.known_ns < new_york_ns(CUT))
    print(f"Trained on {trained_on:,} flights, judged on {np.count_nonzero(after):,}.")
    print(f"\n{'recipe':<18} {'USD per 1,000 decisions':>27} {'over the champion':>27} {'acc':>6} {'AUC':>6}")
    earned: dict[str, NDArray[np.float64]] = {}
    for recipe in task.candidates:
        score = judge.score(recipe, new_york_ns(CUT))
        earned[recipe] = judge.money(score)
        whole = judge.interval(earned[recipe], after)
        gain = judge.interval(earned[recipe] - earned[task.champion], after)
        accuracy = accuracy_score(flights.label[after], score[after] > 1 / 2)
        auc = roc_auc_score(flights.label[after], score[after])
        print(f"{recipe:<18} {whole!s:>27} {gain!s:>27} {accuracy:>6.3f} {auc:>6.3f}", flush=True)
        reference = REFERENCES[recipe]
        print(
            f"{'  reference':<18} {reference.dollars:>+27,.0f} {'':>27} {reference.accuracy:>6.3f} "
            f"{reference.auc:>6.3f}"
        )
    earned["boosting, retrained"] = judge.money(judge.score("boosting", new_york_ns(RETRAINED)))
    _print_months(judge, earned)


def _print_months(judge: Judge, earned: dict[str, NDArray[np.float64]]) -> None:
    champion = judge.task.champion
    print(f"\nUSD per 1,000 decisions and gain over the champion, by month (retrained: {RETRAINED})")
    print(f"{'from':<7}" + "".join(f"{name:>36}" for name in earned))
    bounds = [new_york_ns(f"2013-{month}") for month in MONTHS] + [new_york_ns("2014-01-01")]
    for month, since, until in zip(MONTHS, bounds[:-1], bounds[1:], strict=True):
        rows = (judge.flights.event_ns >= since) & (judge.flights.event_ns < until)
        cells = []
        for name, money in earned.items():
            unseen = name in judge.task.candidates or since >= new_york_ns(RETRAINED)
            gain = "" if name == champion else judge.interval(money - earned[champion], rows)
            cells.append(f"{judge.interval(money, rows).estimate:,.0f} {gain}" if unseen else "")
        print(f"{month:<7}" + "".join(f"{cell:>36}" for cell in cells))


if __name__ == "__main__":
    main()
