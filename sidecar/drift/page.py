"""A survey as one HTML file that needs nothing else: the findings, then every subject's training and now."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.drift.words import describe_subjects, last_look, moment, not_looked_at_since
from sidecar.profile.layout import Decision, Number

if TYPE_CHECKING:
    from sidecar.drift.survey import Survey
    from sidecar.drift.words import SubjectFacts
    from sidecar.findings import Sighting
    from sidecar.profile.layout import Subject

_WIDTH, _HEIGHT = 260, 56
_MOST_BARS = 24
"""Categories shown at most; those that training had most of."""
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #6b7686; --line: #dfe4ea;
  --now: #2f6fde; --then: #b9c3d0; --bad: #b3261e; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf2; --soft: #98a4b3; --line: #333b46;
  --now: #6ea0ff; --then: #56616e; --bad: #ff8a80; --paper: #14181e; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
.soft, td.soft { color: var(--soft); } p { margin: .2rem 0; }
.finding { border-left: 4px solid var(--bad); padding: .35rem 0 .35rem .9rem; margin: .7rem 0; }
.finding b { color: var(--bad); margin-right: .5rem; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; }
th, td { padding: .4rem .6rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: middle; }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; }
.what { color: var(--bad); font-size: .85rem; } svg { display: block; }
.key i { display: inline-block; width: .8em; height: .8em; margin: 0 .35em 0 1em; border-radius: 2px; }
"""


def page(found: Survey) -> str:
    """The whole page."""
    findings = "".join(_finding(found, sighting) for sighting in found.findings)
    rows = "".join(_row(found, facts) for facts in describe_subjects(found))
    head = ("field", "training and now", "weight", "PSI", "missing", "was", "new", "")
    numeric = {"weight", "PSI", "missing", "was", "new"}
    cells = "".join(f"<th{' class=n' if name in numeric else ''}>{name}</th>" for name in head)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Drift of {escape(str(found.model))}</title><style>{_STYLE}</style></head><body>
<h1>{escape(found.model.name)} {escape(found.model.version)}</h1>
<p class="soft">{escape(found.model.digest[:12])}; traffic from {moment(found.since_ns)}
to {moment(found.until_ns)} UTC; {found.profile.rows:,} rows in the newest day,
{found.reference.profile.rows:,} in training; {last_look(found)}</p>
<h2>{_count(len(found.findings))}</h2>
{findings}
<h2>Fields</h2>
<p class="soft key"><i style="background:var(--then);margin-left:0"></i>training
<i style="background:var(--now)"></i>the newest day. Those that matter most stand first.</p>
<table><tr>{cells}</tr>{rows}</table>
<p class="soft">Weight: how far the score moves when the field is shuffled; empty where it never varied in
training. PSI: population stability index, less what chance gives; 0 is no change, 0.1 is much. New: values
outside everything that training had.</p>
</body></html>
"""


def _count(findings: int) -> str:
    return {0: "No open finding", 1: "One open finding"}.get(findings, f"{findings} open findings")


def _finding(found: Survey, sighting: Sighting) -> str:
    one, since_ns = sighting.finding, not_looked_at_since(found, sighting)
    still = "" if since_ns is None else f"; <b>not looked at since {moment(since_ns)}</b>"
    cause = f"<p>Perhaps {escape(one.cause)}.</p>" if one.cause else ""
    against = escape(str(one.evidence.get("compared_with", "")))
    scale = escape(str(one.evidence.get("scale", "")))
    return (
        f'<div class="finding"><p><b>{escape(one.what)}</b>{escape(one.text)}.</p>{cause}'
        f'<p class="soft">Since {moment(one.since_ns)} UTC; {scale} against {against}; '
        f"z {one.evidence.get('z', '')}, PSI {one.evidence.get('psi', '')}{still}</p></div>"
    )


def _row(found: Survey, facts: SubjectFacts) -> str:
    layout = found.reference.layout
    place = layout.index(facts.name)
    subject = layout.subjects[place]
    slots = slice(int(layout.starts[place]), int(layout.starts[place]) + subject.slots)
    bars = _bars(subject, found.reference.profile.counts[slots], found.profile.counts[slots])
    weight = "" if facts.importance is None else f"{facts.importance:.3f}"
    index = "" if facts.stability is None else f"{facts.stability:.3f}"
    return (
        f"<tr><td>{escape(facts.name)}</td><td>{bars}</td><td class=n>{weight}</td><td class=n>{index}</td>"
        f"<td class=n>{facts.missing:.1%}</td>"
        f"<td class='n soft'>{facts.missing_before:.1%}</td>"
        f"<td class=n>{facts.outside:.1%}</td>"
        f"<td class=what>{escape(', '.join(facts.findings))}</td></tr>"
    )


def _bars(subject: Subject, before: Any, now: Any) -> str:
    """Shares of the slots, training's behind the window's; the bins of a number have one width."""
    labels = _labels(subject)
    chosen = np.arange(len(before))
    if not isinstance(subject, Number) and len(chosen) > _MOST_BARS:
        known = np.argsort(-before[:-3], kind="stable")[: _MOST_BARS - 3]
        chosen = np.concatenate([known, np.arange(len(before) - 3, len(before))])
    old, new = before[chosen] / max(before.sum(), 1), now[chosen] / max(now.sum(), 1)
    top = max(float(old.max()), float(new.max()), 1e-9)
    step = _WIDTH / len(chosen)
    shapes = []
    for at, slot in enumerate(chosen.tolist()):
        was, share = float(old[at]), float(new[at])
        title = f"<title>{escape(labels[slot])}: {was:.1%} to {share:.1%}</title>"
        for value, colour, left, width in (
            (was, "then", at * step + step * 0.06, step * 0.88),
            (share, "now", at * step + step * 0.3, step * 0.4),
        ):
            height = value / top * _HEIGHT
            shapes.append(
                f'<rect x="{left:.1f}" y="{_HEIGHT - height:.1f}" width="{width:.1f}" height="{height:.1f}" '
                f'fill="var(--{colour})">{title}</rect>'
            )
    return f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img">{"".join(shapes)}</svg>'


def _labels(subject: Subject) -> tuple[str, ...]:
    if isinstance(subject, Decision):
        return "pass", "act"
    if isinstance(subject, Number):
        bounds = [f"{float(bound):.4g}" for bound in subject.bounds]
        bins = tuple(f"{low} to {high}" for low, high in pairwise(bounds))
        return ("below", *bins, "above", "missing")
    return (*subject.categories, "rare", "unseen", "missing")
