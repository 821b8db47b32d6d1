"""The evaluation: every version on the same matured rows, beside its hold-out. Facts and their comparison.

Rows are those of whole UTC days whose every outcome must have arrived by `as_of_ns`, never "whatever has
arrived". A version is judged only on days later than everything it was fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sidecar.exploration import is_explored
from trainer.days import DAY_NS
from trainer.evaluation.holdout import HoldOut, HoldOutFigures, hold_outs
from trainer.evaluation.ranking import Disagreement, disagreements, pairs_of
from trainer.evaluation.run import Entrant, Run, figures_of, run
from trainer.evaluation.slices import SliceFigures, adjust, slices_of
from trainer.figures import DayRows, Figures
from trainer.interval import PER
from trainer.timing import Timing, time_single_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from sidecar.domain import ModelId
    from trainer.evaluation.span import Span
    from trainer.interval import Interval
    from trainer.join import JoinedRows
    from trainer.task import Task

TIMED_ROWS = 1_000


@dataclass(frozen=True)
class Coverage:
    """Rows served, of them those with an outcome, and of those the ones that the version gave a value for.

    hidden: rows served whose reply hid their outcome.
    """

    served: int
    hidden: int
    labelled: int
    scored: int

    @property
    def labelled_share(self) -> float:
        """Of the rows served that did not hide their outcome; 0 without any."""
        shown = self.served - self.hidden
        return self.labelled / shown if shown else 0.0

    @property
    def scored_share(self) -> float:
        """Of the rows with an outcome; 0 without any."""
        return self.scored / self.labelled if self.labelled else 0.0


@dataclass(frozen=True)
class Censoring:
    """Whether outcomes arrive alike for both decisions; labelled shares, NaN without rows.

    Where acting hides or changes the outcome and nothing is explored, a version that decides otherwise is
    judged by outcomes that its own decisions would not have led to. declared: the task says which action
    hides it. explored: rows that were, and stand for hidden ones. without_chance: hidden rows that none
    stands for.
    """

    acted: int
    acted_labelled: float
    passed: int
    passed_labelled: float
    declared: bool
    explored: int
    without_chance: int


@dataclass(frozen=True)
class VersionReport:
    """One version. coverage and figures: of the days it was not fitted on; days_fitted: of the others.

    name: short, one for each version. unlike_served: the share of the figures' rows that it decides otherwise
    than was served. figures, timing: None without rows. holdout: on its own snapshot's hold-out, if any.
    """

    name: str
    model: ModelId
    state: str
    trained_until_ns: int | None
    days_fitted: int
    coverage: Coverage
    unlike_served: float
    figures: Figures | None
    timing: Timing | None
    holdout: HoldOutFigures | None
    slices: tuple[SliceFigures, ...]


@dataclass(frozen=True)
class Evaluation:
    """Every version on the same rows. champion: the name of the present one, "" where it is not among them.

    disagreements: of accuracy and of hold-outs with the money of the recent slice; only versions that were
    fitted on none of its days take part.
    """

    task: str
    currency: str
    confidence: float
    span: Span
    champion: str
    coverage: Coverage
    censoring: Censoring
    versions: tuple[VersionReport, ...]
    hold_outs: tuple[HoldOut, ...]
    gains: Mapping[tuple[str, str], Interval]
    disagreements: tuple[Disagreement, ...]


def evaluate(
    task: Task,
    entrants: Sequence[Entrant],
    span: Span,
    rows: JoinedRows,
    *,
    champion: str,
    snapshots: Path,
) -> Evaluation:
    """Compare the entrants on the rows, and with their hold-outs (of snapshots below `snapshots`)."""
    confidence = 1 - task.policy.error
    runs = [run(task, entrant, rows) for entrant in entrants]
    bundles = [entrant.model.bundle for entrant in entrants]
    holds = hold_outs(task, bundles, snapshots, confidence)
    baseline = next((one for one in runs if one.entrant.name == champion), None)
    slices = adjust(
        [slices_of(task, one, None if one is baseline else baseline, rows, confidence) for one in runs]
    )
    versions = tuple(
        _report(one, rows, of_slices, holds, confidence) for one, of_slices in zip(runs, slices, strict=True)
    )
    gains = _gains(runs, rows, confidence)
    return Evaluation(
        task=task.name,
        currency=task.costs.currency,
        confidence=confidence,
        span=span,
        champion=baseline.entrant.name if baseline else "",
        coverage=_coverage(rows, np.ones(len(rows), np.bool_), np.ones(len(rows), np.bool_)),
        censoring=_censoring(task, rows),
        versions=versions,
        hold_outs=tuple(holds),
        gains=gains,
        disagreements=tuple(_disagreements(versions, holds, gains, 1 - confidence)),
    )


def _report(
    one: Run,
    rows: JoinedRows,
    slices: tuple[SliceFigures, ...],
    holds: Sequence[HoldOut],
    confidence: float,
) -> VersionReport:
    bundle = one.entrant.model.bundle
    counted = np.flatnonzero(one.counted(rows))
    own = [hold for hold in holds if hold.snapshot == bundle.manifest.get("snapshot")]
    return VersionReport(
        name=one.entrant.name,
        model=bundle.model,
        state=one.entrant.state,
        trained_until_ns=bundle.fitted_until_ns,
        days_fitted=len(np.unique(rows.event_ns[~one.unseen] // DAY_NS)),
        coverage=_coverage(rows, one.unseen, one.scored.valued),
        unlike_served=float((one.scored.decision != rows.decision)[counted].mean()) if len(counted) else 0.0,
        figures=figures_of(one, rows, slice(0, len(rows)), confidence),
        timing=time_single_rows(one.entrant.model, rows.blocks, TIMED_ROWS),
        holdout=own[0].figures.get(bundle.model.digest) if own else None,
        slices=slices,
    )


def _coverage(rows: JoinedRows, inside: NDArray[np.bool_], valued: NDArray[np.bool_]) -> Coverage:
    labelled = inside & rows.labelled
    return Coverage(
        served=int(np.count_nonzero(inside)),
        hidden=int(np.count_nonzero(inside & rows.hidden)),
        labelled=int(np.count_nonzero(labelled)),
        scored=int(np.count_nonzero(labelled & valued)),
    )


def _censoring(task: Task, rows: JoinedRows) -> Censoring:
    acted, passed = rows.labelled[rows.decision], rows.labelled[~rows.decision]
    return Censoring(
        acted=len(acted),
        acted_labelled=float(acted.mean()) if len(acted) else float("nan"),
        passed=len(passed),
        passed_labelled=float(passed.mean()) if len(passed) else float("nan"),
        declared=task.hidden_by is not None,
        explored=int(np.count_nonzero(is_explored(rows.propensity) & ~rows.hidden)),
        without_chance=int(np.count_nonzero(rows.hidden & (rows.propensity == 1))),
    )


def _gains(runs: Sequence[Run], rows: JoinedRows, confidence: float) -> dict[tuple[str, str], Interval]:
    """For each pair (a, b) of versions fitted on none of the days: what b earned over a, row by row."""
    fair = {one.entrant.name: one for one in runs if one.unseen.all()}
    gains = {}
    for first, second in pairs_of(list(fair)):
        one, other = fair[first], fair[second]
        both = np.flatnonzero(one.counted(rows) & other.counted(rows))
        days = DayRows.of(rows.event_ns[both], rows.weight[both])
        gains[first, second] = days.mean(other.money[both] - one.money[both], confidence, per=PER)
    return gains


def _disagreements(
    versions: Sequence[VersionReport],
    holds: Sequence[HoldOut],
    gains: Mapping[tuple[str, str], Interval],
    level: float,
) -> list[Disagreement]:
    name_of = {version.model.digest: version.name for version in versions}
    found = []
    for hold in holds:
        money = {name_of[digest]: one.utility_per_1000.estimate for digest, one in hold.figures.items()}
        found += disagreements("hold-out", money, gains, level, snapshot=hold.snapshot)
    accuracy = {one.name: one.figures.accuracy.estimate for one in versions if one.figures}
    return found + disagreements("accuracy", accuracy, gains, level)
