"""From what a look measured to findings: pure functions, at levels that are for a day, not for a look.

Looks use whole days, so all looks of one day see the same and find the same; only a new day is a new chance
of a false alarm.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sidecar.findings import Finding
from trainer.days import DAY_NS, iso_day
from trainer.interval import PER

if TYPE_CHECKING:
    from trainer.monitor.expected import Expectation
    from trainer.monitor.level import Daily, Shift
    from trainer.monitor.multivariate import Difference

PERFORMANCE, MULTIVARIATE = "performance", "multivariate"
LEVEL = 0.01
"""Of each test on a day on which nothing has changed."""
LEAST_CHANGE = 0.1
"""A smaller share of the earlier level is nothing to be woken for."""
LEAST_AREA = 0.55
"""Nor are fields that tell now from before so badly."""


def label_finding(model: str, what: str, shift: Shift | None) -> list[Finding]:
    """Whether the label rate moved. what: "shift", from the weeks before, or "stale", from training."""
    if shift is None or not _matters(shift):
        return []
    before = {
        "shift": f"the {shift.days_before} days before",
        "stale": "the rows that the champion was trained on",
    }[what]
    text = (
        f"Of the rows of the newest {shift.days_now} matured days {shift.now:.1%} are positive, of {before} "
        f"{shift.before:.1%} (p {shift.p:.2g})."
    )
    return [
        Finding(
            monitor=PERFORMANCE,
            model=model,
            subject="label",
            what=what,
            size=shift.relative,
            since_ns=shift.since_ns,
            text=text,
            cause="The world changed, or how outcomes are reported. Scores fitted on the old rate will miss.",
            evidence={"measure": "relative change of the label rate", **asdict(shift)},
        )
    ]


def utility_finding(model: str, shift: Shift | None, currency: str) -> list[Finding]:
    """Whether the champion earns more or less than it did."""
    if shift is None or not _matters(shift):
        return []
    word = "more" if shift.change > 0 else "less"
    text = (
        f"The champion earned {currency} {PER * shift.now:+,.0f} per {PER:,} decisions in the newest "
        f"{shift.days_now} matured days, {word} than the {PER * shift.before:+,.0f} of the "
        f"{shift.days_before} days before (p {shift.p:.2g})."
    )
    return [
        Finding(
            monitor=PERFORMANCE,
            model=model,
            subject="utility",
            what="shift",
            size=shift.relative,
            since_ns=shift.since_ns,
            text=text,
            cause="Look at the label's and the fields' findings; `trainer evaluate` says who earns more now.",
            evidence={"measure": "relative change of the money per decision", **asdict(shift)},
        )
    ]


def expected_findings(model: str, expected: Expectation | None, money: Daily, currency: str) -> list[Finding]:
    """Whether days without outcomes are expected to earn less than the matured days before them did."""
    if expected is None or expected.doubts or not len(money):
        return []
    usual, band = PER * money.mean, expected.utility_per_1000
    if band.upper >= usual:
        return []
    text = (
        f"From {iso_day(expected.since_ns)} on the champion is expected to earn {currency} "
        f"{band.estimate:+,.0f} [{band.lower:+,.0f}; {band.upper:+,.0f}] per {PER:,} decisions, less than "
        f"the {usual:+,.0f} of the {len(money)} days before; outcomes are not known yet."
    )
    return [
        Finding(
            monitor=PERFORMANCE,
            model=model,
            subject="utility",
            what="expected",
            size=band.estimate - usual,
            since_ns=expected.since_ns,
            text=text,
            evidence={
                "measure": f"{currency} per {PER:,} decisions",
                **asdict(band),
                "usual": usual,
                "trials": len(expected.trials),
            },
        )
    ]


def field_finding(model: str, against: str, seen: Difference, end_ns: int) -> list[Finding]:
    """Whether the fields together changed. against: "training" or "before", see `Look.fields`."""
    if seen.p >= LEVEL or seen.area < LEAST_AREA:
        return []
    other = "the training rows" if against == "training" else "the weeks before"
    used = ", ".join(f"{name} ({drop:.3f})" for name, drop in seen.fields) or "no field by itself"
    text = (
        f"A classifier tells rows of the newest {seen.days_now} days from {other} with an area of "
        f"{seen.area:.3f} on days it had not seen (p {seen.p:.2g}), by {used}."
    )
    return [
        Finding(
            monitor=MULTIVARIATE,
            model=model,
            subject="features",
            what="stale" if against == "training" else "shift",
            size=seen.area,
            since_ns=end_ns - seen.days_now * DAY_NS,
            text=text,
            evidence={"measure": "held-out area under the ROC curve", **asdict(seen)},
        )
    ]


def _matters(shift: Shift) -> bool:
    return shift.p < LEVEL and abs(shift.relative) >= LEAST_CHANGE
