"""From what a watch holds open to findings: what it is, in words and figures, and what may have caused it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.drift.comparison import Aspect
from sidecar.drift.unit import find_conversion, moments
from sidecar.drift.watch import TRAINING
from sidecar.drift.weight import weight_of
from sidecar.findings import Finding
from sidecar.profile.layout import Decision, Number, Text
from sidecar.session import DECISION, SCORE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from sidecar.drift.unit import Conversion
    from sidecar.drift.watch import Look, Watch
    from sidecar.profile.layout import Layout, Subject
    from sidecar.profile.profile import Profile
    from sidecar.profile.reference import Reference

MONITOR = "drift"
_SHOWN = 3
_OF_THE_MODEL = (SCORE, DECISION)
_OF_VALUES = frozenset({"shift", "range", "type"})
_SPECIAL = frozenset({"unit", "constant"})
"""What explains all of those at once, and stands in their place."""
_MOSTLY = 0.5
"""A value that was so common before is not called constant."""
_CYCLES = {"week": "the same hours of earlier weeks", "day": "the same hours of the days before"}
_MEASURES = {
    Aspect.SHIFT: "standard deviations",
    Aspect.SHAPE: "PSI",
    Aspect.MISSING: "share of rows",
    Aspect.OUTSIDE: "share of values",
    Aspect.WHOLE: "share of values",
}


@dataclass(frozen=True, eq=False)
class _Open:
    """One open test of a subject."""

    look: Look
    baseline: int
    aspect: Aspect
    since_ns: int
    z: float
    size: float

    @property
    def compared_with(self) -> Profile:
        baseline = self.look.baseline[self.baseline]
        # Open, but its cycle has no window left to compare with: then training's.
        return self.look.baseline[TRAINING] or self.look.window if baseline is None else baseline

    @property
    def words(self) -> str:
        return "training" if self.baseline == TRAINING else _CYCLES.get(self.look.cycle, "earlier cycles")


def name_findings(
    watch: Watch, model: str, importance: Mapping[str, float], former: Sequence[Finding] = ()
) -> list[Finding]:
    """The findings that are open, those first that matter most: importance times stability index.

    importance: of raw fields, by name; see `weight_of` for one that is not in it. Score and decision count as
    1. former: what the last look named; a finding keeps its name while it goes on.
    """
    named_before: dict[str, set[str]] = {}
    for one in former:
        named_before.setdefault(one.subject, set()).add(one.what)
    layout = watch.reference.layout
    by_subject: dict[int, list[_Open]] = {}
    for scale, look, (baseline, subject, aspect) in watch.opened():
        at = (baseline, subject, aspect)
        by_subject.setdefault(subject, []).append(
            _Open(
                look,
                baseline,
                Aspect(aspect),
                int(scale.streaks.since_ns[at]),
                float(np.nan_to_num(look.z[at])),
                float(np.nan_to_num(look.size[at])),
            )
        )
    findings = [
        finding
        for subject, opened in by_subject.items()
        for finding in _of_subject(
            watch.reference,
            subject,
            opened,
            model,
            importance,
            before=named_before.get(layout.names[subject], set()),
        )
    ]
    findings.sort(key=lambda finding: (-finding.evidence["rank"], finding.subject, finding.what))
    moved = list(dict.fromkeys(one.subject for one in findings if one.subject not in _OF_THE_MODEL))
    named = "what happened to " + ", ".join(moved[:_SHOWN]) if moved else ""
    return [replace(one, cause=named) if one.subject in _OF_THE_MODEL else one for one in findings]


def _of_subject(
    reference: Reference,
    subject: int,
    opened: list[_Open],
    model: str,
    importance: Mapping[str, float],
    *,
    before: AbstractSet[str],
) -> list[Finding]:
    layout = reference.layout
    kinds: dict[str, list[_Open]] = {}
    for one in opened:
        kinds.setdefault(_kind(layout.subjects[subject], one.aspect), []).append(one)
    of_values = [one for what in _OF_VALUES for one in kinds.get(what, ())]
    told = {what: max(ones, key=lambda one: abs(one.z)) for what, ones in kinds.items()}
    conversion = None
    if of_values and not before & _OF_VALUES:
        strongest = max(of_values, key=lambda one: abs(one.z))
        special, conversion = _special(reference, subject, strongest)
        special = next(iter(before & _SPECIAL), special)
        if special:
            told = {what: one for what, one in told.items() if what not in _OF_VALUES}
            told[special] = strongest
            kinds[special] = of_values
    name = layout.subjects[subject].name
    of_the_model = subject >= len(layout.subjects) - 2
    weight = 1.0 if of_the_model else weight_of(name, importance)
    findings = []
    for what, one in told.items():
        stability = float(one.look.stability[subject])
        text, cause, figures = _say(layout, subject, what, one, conversion)
        evidence: dict[str, Any] = {
            "measure": _MEASURES[one.aspect],
            "z": round(one.z, 2),
            "psi": round(stability, 4),
            "importance": 1.0 if of_the_model else importance.get(name),
            "rank": round(weight * max(stability, 0.0), 6),
            "scale": one.look.scale.name,
            "window_ns": one.look.start_ns,
            "rows": one.look.window.rows,
            "looked_until_ns": max(each.look.end_ns for each in kinds[what]),
            "compared_with": one.words,
            **figures,
        }
        since_ns = min(each.since_ns for each in kinds[what])
        findings.append(
            Finding(MONITOR, model, name, what, round(one.size, 6), since_ns, text, cause, evidence)
        )
    return findings


def _kind(subject: Subject, aspect: Aspect) -> str:
    if aspect is Aspect.OUTSIDE:
        return "unseen" if isinstance(subject, Text) else "range"
    names = {Aspect.MISSING: "missing", Aspect.WHOLE: "type"}
    return names.get(aspect, "shift")


def _special(reference: Reference, subject: int, one: _Open) -> tuple[str, Conversion | None]:
    """Whether the values have become constant, or arrive in another unit."""
    layout = reference.layout
    window, baseline = one.look.window, one.compared_with
    filled, filled_before = _values(layout, subject, window), _values(layout, subject, baseline)
    share_before = filled_before[int(filled.argmax())] / max(filled_before.sum(), 1)
    one_value = not layout.numeric[subject] or window.least[subject] == window.most[subject]
    if np.count_nonzero(filled) == 1 and one_value and share_before < _MOSTLY:
        return "constant", None
    each = layout.subjects[subject]
    if not isinstance(each, Number):
        return "", None
    spread = reference.spread_for(one.look.scale.spreads, "training")
    natural = 0.0 if spread is None else float(spread.excess[subject, Aspect.SHIFT])
    now = moments(window, subject, int(filled.sum()))
    former = moments(baseline, subject, int(filled_before.sum()))
    found = find_conversion(now, former, natural, each.unit)
    return ("unit" if found else ""), found


def _values(layout: Layout, subject: int, profile: Profile) -> Any:
    """The counts of a subject's slots without the missing one."""
    start, each = int(layout.starts[subject]), layout.subjects[subject]
    slots = each.slots if isinstance(each, Decision) else each.slots - 1
    return profile.counts[start : start + slots]


def _say(
    layout: Layout, subject: int, what: str, one: _Open, conversion: Conversion | None
) -> tuple[str, str, dict[str, Any]]:
    """Sentence, cause, and figures for the evidence."""
    each = layout.subjects[subject]
    window, baseline = one.look.window, one.compared_with
    now, before = _values(layout, subject, window), _values(layout, subject, baseline)
    if what in ("missing", "unseen", "range", "type"):
        return _say_share(each, what, one, now, before)
    if isinstance(each, Number):
        mean, _ = moments(window, subject, int(now.sum()))
        former, _ = moments(baseline, subject, int(before.sum()))
        figures = {"mean": _plain(mean), "mean_before": _plain(former)}
        if what == "constant":
            return f"{each.name} is always {mean:.6g}", "a lookup that always gives the same answer", figures
        if conversion:
            offset = f" {conversion.offset:+.4g}" if conversion.offset else ""
            said = (
                f"{each.name} looks multiplied by {conversion.factor:.4g}{offset}: "
                f"its mean is {mean:.4g}, in {one.words} {former:.4g}"
            )
            return said, conversion.words, figures
        side = "higher" if one.z > 0 else "lower"
        moved = f", {abs(one.size):.2f} standard deviations {side}" if one.aspect is Aspect.SHIFT else ""
        said = f"{each.name} is distributed otherwise than in {one.words}"
        return f"{said}: mean {former:.4g} to {mean:.4g}{moved}", "", figures
    names = (
        ("pass", "act") if isinstance(each, Decision) else (*each.categories, "a rare category", "a new one")
    )
    if what == "constant":
        return (
            f"{each.name} is always {names[int(now.argmax())]}",
            "a lookup that always gives the same answer",
            {},
        )
    shares, former_shares = now / max(now.sum(), 1), before / max(before.sum(), 1)
    most = np.argsort(-np.abs(shares - former_shares), kind="stable")[:_SHOWN].tolist()
    moved = ", ".join(f"{names[slot]} {former_shares[slot]:.1%} to {shares[slot]:.1%}" for slot in most)
    return f"{each.name} is distributed otherwise than in {one.words}: {moved}", "", {}


def _say_share(
    each: Subject, what: str, one: _Open, now: Any, before: Any
) -> tuple[str, str, dict[str, Any]]:
    look, up = one.look, one.z > 0
    if what == "missing":
        share, former = (
            1 - now.sum() / max(look.window.rows, 1),
            1 - before.sum() / max(one.compared_with.rows, 1),
        )
        cause = "a source that no longer answers" if up else "a default sent in place of a missing value"
        said = f"{each.name} is missing in {share:.1%} of rows, in {one.words} in {former:.1%}"
    elif what == "type":
        share = former = float("nan")
        cause = "values rounded or cut off on their way" if up else "whole numbers that now have fractions"
        said = f"{each.name} is a whole number in {abs(one.size):.1%} {'more' if up else 'fewer'} of the rows"
    elif what == "unseen":
        share, former = now[-1] / max(now.sum(), 1), before[-1] / max(before.sum(), 1)
        cause = "a new category, or another spelling of known ones"
        said = f"{share:.1%} of the values of {each.name} are of no category that training had"
    else:
        outside, outside_before = now[[0, -1]], before[[0, -1]]
        share = outside.sum() / max(now.sum(), 1)
        former = outside_before.sum() / max(before.sum(), 1)
        side = "below" if outside[0] > outside[1] else "above"
        cause = ""
        said = f"{share:.1%} of the values of {each.name} lie {side} everything that training had"
    return said, cause, {"share": _plain(share), "share_before": _plain(former)}


def _plain(value: float) -> float | None:
    """Six digits, None for NaN, as JSON needs it."""
    return None if np.isnan(value) else float(f"{value:.6g}")
