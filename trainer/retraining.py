"""When retraining is due: declared in the task, decided from what the log and the monitors say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from trainer.days import iso_day, nanoseconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.findings import Finding


@dataclass(frozen=True)
class Retraining:
    """When `trainer watch` presses the button; whichever comes first.

    every: so long after the newest row that any version was fitted on. outcomes: when so many rows have
    matured with an outcome since that row. Both wait for the canary, and for candidates that have not been
    judged for a whole cycle: a fit that others follow too soon never shows what it is worth. monitors: when
    one of these has an open finding on the champion that began after the last retraining. None, and an empty
    tuple, switch a rule off.
    Raises ValueError for a span or a count that is not above 0.
    """

    every: timedelta | None = timedelta(days=28)
    outcomes: int | None = None
    monitors: tuple[str, ...] = ("drift",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "monitors", tuple(self.monitors))
        if self.every is not None and self.every <= timedelta(0):
            raise ValueError("retraining: every must be longer than nothing")
        if self.outcomes is not None and self.outcomes < 1:
            raise ValueError("retraining: outcomes must be at least 1")


@dataclass(frozen=True)
class Situation:
    """What a look at the log and the monitors found.

    now_ns: the log's clock. trained_until_ns: the newest event that any version of the task was fitted on;
    retrained_ns: the log's clock when it was fitted, which is later by the time that labels take. new: rows
    since trained_until_ns that have matured with an outcome. unproven: candidates in the shadow that have not
    been judged for a whole cycle, and the canary. findings: open ones on the champion.
    """

    now_ns: int
    trained_until_ns: int
    retrained_ns: int
    new: int
    unproven: int
    findings: Sequence[Finding]


def due(plan: Retraining, now: Situation) -> str:
    """Why the model is due, in a sentence with its figures; empty when it is not."""
    trained = iso_day(now.trained_until_ns)
    if not now.new:
        return ""  # the same rows would give the same models
    for finding in now.findings:
        if finding.monitor in plan.monitors and finding.since_ns > now.retrained_ns:
            return f"Monitor '{finding.monitor}', since {iso_day(finding.since_ns)}: {finding.text}"
    if now.unproven:
        return ""
    if plan.outcomes is not None and now.new >= plan.outcomes:
        return f"{now.new:,} rows have matured with an outcome since {trained}, {plan.outcomes:,} suffice."
    if plan.every is not None and now.now_ns - now.trained_until_ns >= nanoseconds(plan.every):
        return f"No version was fitted on rows later than {trained}, {plan.every.days} days are the limit."
    return ""
