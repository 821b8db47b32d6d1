"""What the champion earns on days whose outcomes have not matured, by its scores; when not to believe it.

Scores are calibrated on matured days before, and each row then counts as positive with its calibrated
probability: its expected money, correctness and label are sums over both labels (confidence-based performance
estimation). That supposes that a score still means what it meant. So the same is done for past stretches of
the same length, whose outcomes are known: their errors are the interval, and what they never met is a reason
for distrust.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit
from sklearn.isotonic import IsotonicRegression

from trainer.days import DAY_NS, iso_day
from trainer.figures import EVEN_CHANCE
from trainer.interval import PER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEAST_TRIALS = 6
"""Past stretches; with fewer an estimate cannot be trusted."""
CONFIDENCE = 0.95
_ENDLESS = (-math.inf, math.inf)


@dataclass(frozen=True, eq=False)
class Priced:
    """One version's rows, in order of time: what its decision is worth under either label.

    event_ns: int64 [n]; score: float32 [n]; if_positive, if_negative: float64 [n], money; label: float64 [n],
    0, 1, or NaN where not known.
    """

    event_ns: NDArray[np.int64]
    score: NDArray[np.float32]
    if_positive: NDArray[np.float64]
    if_negative: NDArray[np.float64]
    label: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.event_ns)

    def between(self, since_ns: int, until_ns: int) -> Priced:
        """The rows with since_ns <= event_ns < until_ns."""
        return self._take(slice(*np.searchsorted(self.event_ns, [since_ns, until_ns]).tolist()))

    def known(self) -> Priced:
        """The rows with a label."""
        return self._take(~np.isnan(self.label))

    def _take(self, rows: slice | NDArray[np.bool_]) -> Priced:
        return Priced(
            self.event_ns[rows],
            self.score[rows],
            self.if_positive[rows],
            self.if_negative[rows],
            self.label[rows],
        )

    def outlook(self, probability: NDArray[np.float64]) -> Outlook:
        """The figures if each row is positive with this probability, [n]; its label for what really came."""
        right = np.where(self.score >= EVEN_CHANCE, probability, 1 - probability)
        money = probability * self.if_positive + (1 - probability) * self.if_negative
        return Outlook(float(PER * money.mean()), float(right.mean()), float(probability.mean()))


@dataclass(frozen=True)
class Outlook:
    """Figures of a stretch, expected or realised. accuracy: of score >= 0.5."""

    utility_per_1000: float
    accuracy: float
    label_rate: float


@dataclass(frozen=True)
class Trial:
    """A stretch [since_ns, until_ns) whose outcomes are known, estimated as if they were not.

    distance: of its scores' distribution from that of the days it was calibrated on (Kolmogorov-Smirnov).
    """

    since_ns: int
    until_ns: int
    rows: int
    expected: Outlook
    realised: Outlook
    distance: float


@dataclass(frozen=True)
class Band:
    """An estimate with the bounds that the errors of the trials give it."""

    estimate: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Expectation:
    """The figures of [since_ns, until_ns) before its outcomes are known. doubts: why not to trust them."""

    since_ns: int
    until_ns: int
    rows: int
    utility_per_1000: Band
    accuracy: Band
    label_rate: Band
    distance: float
    trials: tuple[Trial, ...]
    doubts: tuple[str, ...]


def estimate(
    rows: Priced, since_ns: int, until_ns: int, *, calibrate_days: int, trials: int
) -> Expectation | None:
    """The figures of [since_ns, until_ns), whole days, from labels of rows before since_ns alone.

    calibrate_days: how many days before a stretch its calibration comes from. trials: at most so many past
    stretches of the same length are estimated too. None where there is no row, or none to calibrate with.
    """
    window_ns, length_ns = calibrate_days * DAY_NS, until_ns - since_ns
    now = _expect(rows, since_ns, until_ns, window_ns)
    if now is None:
        return None
    count, expected, distance = now
    past = []
    for number in range(trials, 0, -1):
        trial = _try(rows, since_ns - number * length_ns, length_ns, window_ns)
        if trial is not None:
            past.append(trial)
    bands = {
        name: _band(getattr(expected, name), [_error(trial, name) for trial in past], ends)
        for name, ends in (("utility_per_1000", _ENDLESS), ("accuracy", (0, 1)), ("label_rate", (0, 1)))
    }
    return Expectation(
        since_ns,
        until_ns,
        count,
        **bands,
        distance=distance,
        trials=tuple(past),
        doubts=tuple(doubts(past, distance)),
    )


def doubts(trials: Sequence[Trial], distance: float) -> list[str]:
    """Why an estimate is not to be trusted, a sentence each; none where nothing speaks against it. Pure."""
    if len(trials) < LEAST_TRIALS:
        return [f"Only {len(trials)} past stretches could be tried, {LEAST_TRIALS} are needed."]
    found = []
    *earlier, last = trials
    error = _error(last, "label_rate")
    usual = _band(0.0, [_error(trial, "label_rate") for trial in earlier])
    if not usual.lower <= error <= usual.upper:
        found.append(
            f"Calibration broke on the last matured stretch ({iso_day(last.since_ns)}): the label rate was "
            f"{last.realised.label_rate:.3f}, not {last.expected.label_rate:.3f}; the errors before it "
            f"allow {usual.upper:.3f}."
        )
    farthest = max(trial.distance for trial in trials)
    if distance > farthest:
        found.append(
            f"Scores are farther from those it was calibrated on ({distance:.3f}) than in any trial "
            f"({farthest:.3f})."
        )
    return found


def _expect(rows: Priced, since_ns: int, until_ns: int, window_ns: int) -> tuple[int, Outlook, float] | None:
    """Rows, figures and the scores' distance of a stretch, calibrated on the `window_ns` before it."""
    past = rows.between(since_ns - window_ns, since_ns).known()
    now = rows.between(since_ns, until_ns)
    if not len(now) or len(np.unique(past.label)) < 2:  # noqa: PLR2004 - both labels
        return None
    calibration = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(past.score, past.label)
    return len(now), now.outlook(calibration.predict(now.score)), _distance(past.score, now.score)


def _try(rows: Priced, since_ns: int, length_ns: int, window_ns: int) -> Trial | None:
    """A trial on the rows that have a label; None without any, or without a full window before it."""
    if rows.event_ns[0] > since_ns - window_ns + DAY_NS:
        return None
    known = rows.known()
    expected = _expect(known, since_ns, since_ns + length_ns, window_ns)
    if expected is None:
        return None
    realised = known.between(since_ns, since_ns + length_ns)
    count, outlook, distance = expected
    return Trial(since_ns, since_ns + length_ns, count, outlook, realised.outlook(realised.label), distance)


def _error(trial: Trial, name: str) -> float:
    return float(getattr(trial.realised, name) - getattr(trial.expected, name))


def _band(estimate: float, errors: Sequence[float], ends: tuple[float, float] = _ENDLESS) -> Band:
    """Where the truth lies if the estimate errs as the trials did, on average by nothing."""
    if len(errors) < 2:  # noqa: PLR2004 - a spread needs two
        return Band(estimate, -math.inf, math.inf)
    size = math.sqrt(sum(error**2 for error in errors) / len(errors))
    reach = float(stdtrit(len(errors), (1 + CONFIDENCE) / 2)) * size
    return Band(estimate, max(estimate - reach, ends[0]), min(estimate + reach, ends[1]))


def _distance(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """The greatest difference of two empirical distribution functions."""
    places = np.concatenate([first, second])
    shares = [np.searchsorted(np.sort(part), places, side="right") / len(part) for part in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())
