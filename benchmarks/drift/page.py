"""docs/drift.md, from result files and from nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.drift import rows as data
from benchmarks.pages.markdown import spread, table
from benchmarks.statistics import Summary, ratio
from sidecar.config import Drift

if TYPE_CHECKING:
    from collections.abc import Mapping

GENERATED = (
    "<!-- Rendered by `python -m benchmarks.drift render` from benchmarks/results; not edited by hand. -->"
)
_NAMES = {"evidently": "Evidently 0.7.23", "nannyml": "NannyML 0.13.1", "alibi_detect": "alibi-detect 0.13.0"}
_FLAGGED_BAR, _ALARM_DAYS_BAR, _COST_BAR = 0.01, 20, 1.5


def render(results: Mapping[str, dict[str, Any] | None]) -> str:
    """docs/drift.md."""
    settings = Drift()
    intro = (
        "How often the monitor cries wolf, what it finds, and what it costs, on synthetic rows with known "
        f"seeds. Default settings: at most {settings.false_alarms_per_day:g} false alarms a day over all "
        f"fields of a model, {settings.windows_running} windows running, at least {settings.min_rows} "
        f"rows in "
        "a window. Thirty fields (ten normal, five lognormal, five whole numbers, ten texts of 3 to 50 "
        "categories; 5 % and 2 % missing), beside the score and the decision; "
        f"{data.REFERENCE_ROWS:,} training rows. Seed {data.SEED}. All monitors get the same rows; "
        "[rows.py](../benchmarks/drift/rows.py) makes them."
    )
    about_null = (
        "Part of the windows in which any of the thirty fields is flagged (bar: at most 1 %). A "
        "window of the "
        "sidecar is flagged while any finding is open; its windows follow each other hour by hour, so looks "
        "at days and at the same hours of earlier days are among them."
    )
    about_changes = (
        "Part of the trials in which the changed field is flagged. For the sidecar a trial is two windows "
        "running, because one window never opens a finding; for the others it is one window."
    )
    parts = [
        GENERATED,
        "# Drift: false alarms, detection, cost",
        intro,
        "## How it decides",
        _HOW,
        "## Windows in which nothing has changed",
        about_null,
        _null(results),
        "## A daily and a weekly cycle",
        _cycle(results),
        "## Planted changes",
        about_changes,
        _detection(results),
        _low_traffic(results),
        "## Cost",
        _cost(results),
        _path(results),
        "## What it does not see",
        _LIMITS,
        "## On real rows",
        _REAL,
        _measured(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_HOW = """\
Each field is compared in five aspects, with the training rows and with the same hours of earlier weeks (days,
in the first week): *shift* (normal scores of the training bins), *shape* (chi-square over bins or
categories), *missing*, *outside* (below, above, or a category never seen) and *whole* (numbers without a
fraction). A finding opens when two windows running are strange in the same way, each with a z of 2 or more,
both together at the level that the allowed alarms give when every test of every look shares them, and each
large enough to matter (0.05 standard deviations, a PSI of 0.005, 1 % missing, 0.5 % outside, 10 % whole). It
closes after six plain hours, or seven plain days.

Rows of an hour hang together: the weather is the same for all. When a model is fitted, the windows of its
training rows are compared in the same way, and what they vary beyond chance is kept in the bundle; live
windows must be strange beside that. Where windows vary so, each of the two must reach the full level and be
half as strange again as the strangest of training.

Where no day of a week has `min_rows`, the week is looked at in their place; where no week of four has them
either, the four together, if they have 50 rows. Weeks are whole, not days until there are enough: each has
the same weekdays as training and as the weeks before, which it is compared with, so that a Sunday more is no
drift. They begin at fixed moments, so that a sidecar that starts again looks at the same ones. Such a look
goes on where days left off. It needs a day's level, so that fewer looks raise fewer alarms; two running open
a finding, and two plain ones close what was open, of days or of hours. What differs from the weeks before
(four, or eight for four weeks together) is plain when none of those is left that did not. What weeks vary is
taken from training's weeks where its days had fewer than 20 rows, otherwise from its days, which vary no
less."""

_LIMITS = """\
* One window alone, however strange, opens nothing: the first word comes after two hours, or two days, two
  weeks or eight, where what is shorter has fewer rows than `min_rows`.
* A week of which one day has `min_rows` is looked at on that day only, and fewer than 50 rows in four
  weeks are not looked at.
* A change that only concerns how fields hang together, and no field by itself. That needs a classifier
  between reference and now.
* A field whose hours already vary much in training must move further before it is told.
* What differs from earlier weeks, but not from training, is the new normal after four weeks."""

_REAL = """\
What it said of real rows day by day, and whether a person would agree: the
[flights of 2013](drift-flights.md) and [a bank's calls, 2008 to 2010](drift-bank.md)."""


def _percent(part: float, whole: float) -> str:
    share = 100 * part / whole
    return f"{share:.1f} %" if 0 < share < 99.95 and share != round(share) else f"{share:.0f} %"  # noqa: PLR2004


def _null(results: Mapping[str, dict[str, Any] | None]) -> str:
    lines = []
    own = results["null"]
    if own:
        cells = [_percent(each["open_in"], each["windows"]) for each in own["null"]]
        good = all(each["open_in"] <= _FLAGGED_BAR * each["windows"] for each in own["null"])
        lines.append(
            [f"sidecar, {own['null'][0]['windows']} windows each", *cells, "yes" if good else "**no**"]
        )
    for name, label in _NAMES.items():
        found = results[name]
        if found:
            cells = [_percent(each["flagged"], each["windows"]) for each in found["null"]]
            lines.append([f"{label}, {found['null'][0]['windows']} windows each", *cells, ""])
    head = ["monitor", *(f"{size:,} rows" for size in data.NULL_ROWS), "bar met"]
    opened = [one for each in (own["null"] if own else []) for one in each["opened"]]
    told = f"\n\nThe sidecar opened {len(opened)} findings in all." if own else ""
    return table(head, lines) + told


def _cycle(results: Mapping[str, dict[str, Any] | None]) -> str:
    own = results["cycle"]
    if not own:
        return ""
    days, alarms = own["days"], own["alarms"]
    good = len(alarms) * _ALARM_DAYS_BAR <= days
    text = (
        f"{days} days of hourly windows, {own['rows']:,} rows, in which nothing changes but the hour and the "
        f"weekday: a third of the numbers moves, texts have another mix, more is missing at night. Training: "
        f"the {data.CYCLE_TRAINING_DAYS} days before. The sidecar raised **{len(alarms)} alarms**; "
        f"the bar is "
        f"one in {_ALARM_DAYS_BAR} days, {days // _ALARM_DAYS_BAR} in all: "
        f"{'met' if good else '**not met**'}."
    )
    lines = [
        [label, f"{found['cycle']['hours']}", _percent(found["cycle"]["flagged"], found["cycle"]["hours"])]
        for name, label in _NAMES.items()
        if (found := results[name])
    ]
    others = table(["monitor, on the first hours", "hours", "hours flagged"], lines) if lines else ""
    return f"{text}\n\n{others}" if others else text


def _low_traffic(results: Mapping[str, dict[str, Any] | None]) -> str:
    own = results["low_traffic"]
    if not own:
        return ""
    years = own["null"][0]["four_weeks"] / 13
    text = (
        "## Few rows a day\n\nThe same rows, so few that no week has enough and four weeks are looked at "
        "together. "
        f"{own['null'][0]['four_weeks']} times four weeks ({years:.0f} years) in which nothing changes:"
    )
    null = table(
        ["rows a day", "rows of four weeks", "part of them with a finding open", "findings opened"],
        [
            [
                str(each["rows_a_day"]),
                f"{28 * each['rows_a_day']:,}",
                _percent(each["open_in"], each["four_weeks"]),
                str(len(each["opened"])),
            ]
            for each in own["null"]
        ],
    )
    found = own["detection"]
    planted = table(
        ["change", "found"], [[each["change"], _percent(each["found"], each["trials"])] for each in found]
    )
    alarms = sum(len(each["opened"]) for each in own["null"])
    return (
        f"{text}\n\n{null}\n\nThat is {alarms} false alarms in {len(own['null']) * years:.0f} years, each of "
        f"which stays open for eight weeks or more.\n\nPlanted changes, {found[0]['rows']} rows in four "
        f"weeks, after the second four weeks; {found[0]['trials']} trials of each:\n\n{planted}"
    )


def _detection(results: Mapping[str, dict[str, Any] | None]) -> str:
    own = results["changes"]
    lines = []
    for place, change in enumerate(data.CHANGES):
        row = [change.name, f"{change.rows:,}", "" if change.bar is None else f"{change.bar:.0%}"]
        for found in (own, *(results[name] for name in _NAMES)):
            one = found["detection"][place] if found else None
            row.append(_percent(one["found"], one["trials"]) if one else "")
        kinds = own["detection"][place]["kinds"] if own else {}
        lines.append([*row, ", ".join(sorted(kinds, key=lambda kind: -kinds[kind]))])
    head = ["change", "rows", "bar", "sidecar", *_NAMES.values(), "called"]
    trials = {
        "sidecar": own["detection"][0]["trials"] if own else 0,
        **{_NAMES[name]: found["detection"][0]["trials"] for name in _NAMES if (found := results[name])},
    }
    counted = ", ".join(f"{name} {count}" for name, count in trials.items() if count)
    return table(head, lines) + f"\n\nTrials of each change: {counted}."


def _cost(results: Mapping[str, dict[str, Any] | None]) -> str:
    cost, own = results["cost"], results["null"]
    if not cost:
        return ""
    lines = [
        [f"{each['rows']:,}", f"{each['median_us']:.2f}", f"{each['least_us']:.2f}"]
        for each in cost["counting"]
    ]
    look = max(each["look_ms"] for each in own["null"]) if own else None
    said = f" A look at one window takes {look:g} ms (bar: 20)." if look else ""
    return (
        "Counting, in the recorder's thread, in microseconds of its CPU time for a row of 30 fields "
        f"(bar: {_COST_BAR:g}). The request path counts nothing.{said}\n\n"
        + table(["rows at a time", "median, us a row", "least"], lines)
    )


def _path(results: Mapping[str, dict[str, Any] | None]) -> str:
    found = results["path"]
    if not found:
        return ""
    lines = []
    for label, name in (
        ("requests/s, closed loop at 4x8", "requests"),
        (f"p50 at {found['rate']:,.0f} requests/s, us", "p50_us"),
        (f"p99 at {found['rate']:,.0f} requests/s, us", "p99_us"),
    ):
        off, on = ([each[watch][name] for each in found["rounds"]] for watch in ("off", "on"))
        cells = [spread(Summary.of(each)) for each in (off, on)]
        lines.append([label, *cells, spread(ratio(on, off))])
    return (
        "What the replies notice of it: the native engine with one row a call, `[drift] watch` off and on, "
        f"in {len(found['rounds'])} interleaved pairs; medians (least to most), ratios of the same pair.\n\n"
        + table(["", "off", "on", "on / off"], lines)
    )


def _measured(results: Mapping[str, dict[str, Any] | None]) -> str:
    lines = [
        f"* {name}: {found['measured']}, commit "
        f"{found['commit']}{', with changes' if found['changed'] else ''}"
        for name, found in results.items()
        if found
    ]
    return (
        "## Measured\n\n" + "\n".join(lines) + "\n\nEach peer has an environment of its own, made when it is "
        "first run; it is asked about fewer windows where it is slow. Evidently compares with a tenth of the "
        "training rows, because each report goes through all of them. alibi-detect knows no missing numbers, "
        "so they are the training median there.\n\n```sh\npython -m benchmarks.drift run\n```"
    )
