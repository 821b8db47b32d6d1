"""A survey's figures, subject by subject, as the command and the page show them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sidecar.drift.scale import overdue_ns
from sidecar.drift.weight import weight_of
from sidecar.profile.layout import Decision, Number

if TYPE_CHECKING:
    from sidecar.drift.survey import Survey
    from sidecar.findings import Sighting


@dataclass(frozen=True)
class SubjectFacts:
    """One subject. importance: None for score and decision, and where it is unknown.

    stability: None before the first look.
    missing, missing_before, outside: shares, of the newest day and of the training rows. findings: the kinds
    that are open.
    """

    name: str
    importance: float | None
    stability: float | None
    missing: float
    missing_before: float
    outside: float
    findings: tuple[str, ...]


def describe_subjects(found: Survey) -> list[SubjectFacts]:
    """Score and decision first, then fields as they matter: importance times stability index."""
    layout = found.reference.layout
    look, facts = found.look, []
    for place, subject in enumerate(layout.subjects):
        slots = slice(int(layout.starts[place]), int(layout.starts[place]) + subject.slots)
        now, before = found.profile.counts[slots], found.reference.profile.counts[slots]
        outside = 0
        if not isinstance(subject, Decision):
            outside = int(now[-2]) + (int(now[0]) if isinstance(subject, Number) else 0)
        may_miss = not isinstance(subject, Decision)
        facts.append(
            SubjectFacts(
                name=subject.name,
                importance=found.importance.get(subject.name) if place < len(layout.subjects) - 2 else None,
                stability=None if look is None else round(float(look.stability[place]), 6),
                missing=float(now[-1] / max(now.sum(), 1)) if may_miss else 0.0,
                missing_before=float(before[-1] / max(before.sum(), 1)) if may_miss else 0.0,
                outside=float(outside / max(now.sum(), 1)),
                findings=tuple(
                    sighting.finding.what
                    for sighting in found.findings
                    if sighting.finding.subject == subject.name
                ),
            )
        )
    *fields, score, decision = facts
    fields.sort(
        key=lambda each: (
            not each.findings,
            -weight_of(each.name, found.importance) * max(each.stability or 0, 0),
        )
    )
    return [score, decision, *fields]


def moment(nanoseconds: int) -> str:
    """A moment in UTC, to the minute."""
    return f"{datetime.fromtimestamp(nanoseconds / 1e9, UTC):%Y-%m-%d %H:%M}"


def last_look(found: Survey) -> str:
    """When the monitor last looked, and at what."""
    look = found.look
    if look is None:
        return "not looked at: too few rows"
    return f"last looked at: {look.scale.name} until {moment(look.end_ns)}, {look.window.rows:,} rows"


def not_looked_at_since(found: Survey, sighting: Sighting) -> int | None:
    """Since when an open finding has not been looked at, though traffic went on; None where it was of late.

    Of other monitors' findings, and of those by earlier versions, it is not known.
    """
    evidence = sighting.finding.evidence
    looked_ns = evidence.get("looked_until_ns")
    if looked_ns is None or found.until_ns - looked_ns <= overdue_ns(evidence["scale"]):
        return None
    return int(looked_ns)
