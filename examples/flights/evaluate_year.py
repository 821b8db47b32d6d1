"""Every version on every month of 2013, and what a monitor says meanwhile: docs/evaluate-flights.md.

    python examples/flights/evaluate_year.py

Recipes are fitted on what was known on 16 March, one more on what the log knew on 1 May; the first champion
answers all flights from 16 March on (see year.py). Nothing is tuned: the page says what the data says. About
ten minutes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from flights_data import load_flights, new_york_ns
from year import log_year

from sidecar.findings import FindingStore, Sighting
from sidecar.lifecycle import Reason
from sidecar.registry import Registry
from sidecar.store.reader import LogReader
from trainer.days import DAY_NS, day_start, iso_day
from trainer.evaluation.entrants import find_entrants
from trainer.evaluation.periods import By, split
from trainer.evaluation.run import run
from trainer.fit import fit_candidate
from trainer.join import read_rows
from trainer.judge import champion_of
from trainer.monitor.expected import Outlook, Priced, estimate
from trainer.monitor.look import Look, look, priced
from trainer.promote import promote_first, register
from trainer.snapshot import from_history, from_log
from trainer.task import load_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.task import Task

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "var" / "year"
PAGE = ROOT / "docs" / "evaluate-flights.md"
TASK = "examples/flights/task.py"
TRAINED, RETRAINED, FIRST_LOOK, END = "2013-03-16", "2013-05-01", "2013-05-06", "2014-01-01"
MONTHS = [f"2013-{month:02}-01" for month in range(4, 13)] + [END]
WHY = Reason("example", "the page over the year")


@dataclass(frozen=True)
class Month:
    """What was expected of a month from labels before it alone, and what came."""

    name: str
    expected: Outlook
    realised: Outlook


def build(task: Task) -> int:
    """Make the home anew: versions, a champion, a year of log. Gives the rows logged."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    (HOME / "sidecar.toml").write_text('home = "."\n')
    snapshots, bundles = HOME / "snapshots", HOME / "bundles"
    snapshot = from_history(task, new_york_ns(TRAINED), root=snapshots)
    fitted = {
        recipe: fit_candidate(task, recipe, snapshot, bundles=bundles, version=recipe).bundle.path
        for recipe in task.candidates
    }
    with Registry(HOME / "registry.db") as registry:
        promote_first(registry, fitted.pop(task.champion), WHY)
        for path in fitted.values():
            register(registry, path, WHY)
        champion = champion_of(task, registry)
        rows = log_year(HOME / "log.db", champion.path, load_flights(), new_york_ns(TRAINED))
        with LogReader(HOME / "log.db") as reader:
            later = from_log(task, reader, new_york_ns(RETRAINED), snapshot, root=snapshots)
        again = fit_candidate(task, "boosting", later, bundles=bundles, version="boosting_may")
        register(registry, again.bundle.path, WHY)
    return rows


def trainer(*words: str) -> dict[str, Any]:
    """Run a command on the home, as a person would, and give its JSON."""
    done = subprocess.run(  # noqa: S603 - our own command
        [Path(sys.executable).parent / "trainer", *words, "--config", HOME / "sidecar.toml", "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def fortnightly_looks(task: Task) -> tuple[list[Look], list[Sighting]]:
    """Look every other Monday; the looks, and the findings as they were opened and closed."""
    looks = []
    path = HOME / "findings.db"
    with (
        Registry(HOME / "registry.db") as registry,
        LogReader(HOME / "log.db") as reader,
        FindingStore(path) as store,
    ):
        champion = champion_of(task, registry)
        first, end = day_start(new_york_ns(FIRST_LOOK)), new_york_ns(END)
        for at_ns in range(first, end, 14 * DAY_NS):
            seen = look(task, champion, reader, HOME / "snapshots", as_of_ns=at_ns)
            looks.append(seen)
            for monitor, found in seen.findings.items():
                store.report(monitor, champion.model.digest, found, at_ns)
            print(
                iso_day(at_ns), [f"{one.subject}.{one.what}" for of in seen.findings.values() for one in of]
            )
        return looks, store.all()


def whole_year(task: Task) -> Priced:
    """The champion's rows of the whole log, with every outcome."""
    with Registry(HOME / "registry.db") as registry, LogReader(HOME / "log.db") as reader:
        rows = read_rows(reader, task.signature, task.maturity)
        (entrant, *_), _ = find_entrants(task, registry, [champion_of(task, registry).model.version])
    return priced(task, run(task, entrant, rows), rows, int(rows.event_ns[-1]) + 1)


def by_month(task: Task, year: Priced) -> list[Month]:
    """Each whole month, estimated from the days before it."""
    months = []
    for period, _ in split(year.event_ns, By.MONTH):
        found = estimate(
            year, period.since_ns, period.until_ns, calibrate_days=task.policy.slice_days, trials=0
        )
        if found is None or period.until_ns > new_york_ns(END):
            continue
        known = year.between(period.since_ns, period.until_ns).known()
        outlook = Outlook(found.utility_per_1000.estimate, found.accuracy.estimate, found.label_rate.estimate)
        months.append(Month(period.name, outlook, known.outlook(known.label)))
    return months


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [columns, ["---"] * len(columns), *rows])


def amount(of: dict[str, Any]) -> str:
    """Money with how far its bounds are, where there are any: one day has none."""
    text = f"{of['estimate']:+,.0f}"
    return text if of["upper"] is None else f"{text} ±{of['upper'] - of['estimate']:,.0f}"


def months_section(over_time: dict[str, Any]) -> str:
    """Money per month and version."""
    names = list(over_time["periods"][0]["figures"])
    rows = []
    for one in over_time["periods"]:
        cells = [
            amount(found["utility_per_1000"]) if (found := one["figures"][name]) else "-" for name in names
        ]
        rate = one["label_rate"]["estimate"]
        rows.append([one["period"], f"{one['days']}", f"{one['labelled']:,}", f"{rate:.3f}", *cells])
    return table(["month", "days", "rows", "label rate", *names], rows)


def disagreements_section(found: Sequence[dict[str, Any]]) -> str:
    """Month by month: who was best, and what the hold-out and accuracy said otherwise."""
    rows = []
    for month, one in zip(MONTHS, found, strict=False):
        figures = {
            version["name"]: version["figures"]
            for version in one["versions"]
            if version["figures"] and not version["days_fitted"]
        }
        money = sorted(figures, key=lambda name: -figures[name]["utility_per_1000"]["estimate"])
        said = [_said(pair) for pair in one["disagreements"]]
        rows.append([month[:7], " > ".join(money), "<br>".join(said) or "none"])
    return table(["month", "by money", "put the other way round by"], rows)


def _said(pair: dict[str, Any]) -> str:
    measure = f"hold-out {pair['snapshot'][:8]}" if pair["snapshot"] else pair["measure"]
    ending = "settled" if pair["settled"] else "not settled"
    gain = amount(pair["gain_per_1000"])
    return f"{measure}: {pair['first']} over {pair['second']}, wrong by {gain} ({ending})"


def expected_section(months: Sequence[Month]) -> str:
    """Expected and realised figures side by side."""
    rows = []
    for one in months:
        before, after = one.expected, one.realised
        rows.append(
            [
                one.name,
                f"{before.utility_per_1000:+,.0f}",
                f"{after.utility_per_1000:+,.0f}",
                f"{after.utility_per_1000 - before.utility_per_1000:+,.0f}",
                f"{before.label_rate:.3f}",
                f"{after.label_rate:.3f}",
                f"{before.accuracy:.3f}",
                f"{after.accuracy:.3f}",
            ]
        )
    heads = [
        "USD expected",
        "realised",
        "error",
        "label rate expected",
        "realised",
        "accuracy expected",
        "realised",
    ]
    return table(["month", *heads], rows)


def trust_section(looks: Sequence[Look], year: Priced) -> str:
    """How the estimates of days without outcomes did, trusted and doubted ones apart."""
    rows = []
    for name, wanted in (("trusted", True), ("cannot be trusted", False)):
        errors, inside, rates = [], [], []
        for one in looks:
            expected = one.expected
            if expected is None or wanted is bool(expected.doubts):
                continue
            known = year.between(expected.since_ns, expected.until_ns).known()
            real, band = known.outlook(known.label), expected.utility_per_1000
            errors.append(abs(real.utility_per_1000 - band.estimate))
            rates.append(abs(real.label_rate - expected.label_rate.estimate))
            inside.append(band.lower <= real.utility_per_1000 <= band.upper)
        if errors:
            share = f"{sum(inside)} of {len(inside)}"
            rows.append(
                [name, f"{len(errors)}", share, f"{np.median(errors):,.0f}", f"{np.median(rates):.3f}"]
            )
    heads = [
        "estimate",
        "looks",
        "realised money in the 95 % interval",
        "median error, USD",
        "of the label rate",
    ]
    return table(heads, rows)


def findings_section(sightings: Sequence[Sighting]) -> str:
    """What was found, from when to when."""
    rows = []
    for one in sightings:
        found = one.finding
        closed = "open at the end" if one.closed_ns is None else iso_day(one.closed_ns)
        rows.append(
            [iso_day(one.opened_ns), closed, f"{found.monitor}: {found.subject}.{found.what}", found.text]
        )
    return table(["opened", "closed", "finding", "as it was last seen"], rows)


def levels_section(looks: Sequence[Look]) -> str:
    """Every look's tests, flagged or not."""
    rows = []
    for one in looks:
        cells = [iso_day(one.as_of_ns)]
        for shift, per, form in (
            (one.label, 1, ".3f"),
            (one.label_trained, 1, ".3f"),
            (one.utility, 1000, "+,.0f"),
        ):
            text = (
                "-"
                if shift is None
                else (
                    f"{format(per * shift.before, form)} to {format(per * shift.now, form)}, p {shift.p:.3f}"
                )
            )
            cells.append(text)
        for name in ("before", "training"):
            seen = one.fields.get(name)
            cells.append("-" if seen is None else f"{seen.area:.2f}, p {seen.p:.4f}")
        rows.append(cells)
    heads = ["label rate", "label rate, with training", "USD per 1,000", "fields, area", "with training"]
    return table(["look", *heads], rows)


def render(rows: int, recent: dict[str, Any], parts: dict[str, str]) -> str:
    """The page."""
    headlines = "\n".join(f"    {line}" for line in recent["headlines"])
    by_time = sorted(recent["hold_outs"], key=lambda one: one["since_ns"])
    first, second = (one["snapshot"] for one in by_time)
    return f"""# A year of flights, evaluated

Rendered by `python examples/flights/evaluate_year.py`; every random state is 0, the bundles of the same
libraries are the same bytes. Do not edit.

Four recipes were fitted on the flights known on {TRAINED}, and boosting again on what the log knew on
{RETRAINED}. The first champion, `logistic`, answered the {rows:,} flights from {TRAINED} to the end of 2013.
They were not served one by one: the champion's pipeline ran in the page's own process over one batch a day,
and its answers went into a real log (`examples/flights/year.py`); a batch gives, bit for bit, what single
requests give (`tests/test_served_parity.py`). So the log says nothing of latency. Everything else is what
`trainer evaluate` and `trainer monitor` say of that log. Money is USD per 1,000 decisions, ± is half a 95 %
interval with whole UTC days as units. Every flight has its outcome within 36 hours, so all rows are labelled.

## Money by month

`trainer evaluate {TASK} --by month`. A version has no figure of days that it was fitted on.

{parts["months"]}

## Where the ranking is another

`trainer evaluate {TASK} --since ... --until ...` for each month. There are two hold-outs: the fortnight
to {TRAINED} ({first[:8]}), where all figures are of recipes, because what ships was fitted on it too;
and the one to {RETRAINED} ({second[:8]}), where those fitted in March are scored themselves. A pair is
settled when its gain differs from nothing at 5 %, all pairs together (Holm). A version that was fitted
on days of the month is not ranked.

{parts["disagreements"]}

On the newest slice the command begins with:

{headlines}

## Expected before the outcomes

What each month was expected to be from the scores of its rows and a calibration on the 28 days before it,
beside what it was.

{parts["expected"]}

At each look below `trainer monitor` estimates the days whose outcomes have not matured, with an interval from
its errors on up to 12 past stretches of the same length:

{parts["trust"]}

## What the monitor found

A look every other Monday from {FIRST_LOOK}: the newest fortnight against the eight weeks before, and labels
of the newest 28 days and fields of the newest fortnight against the training rows.

{parts["findings"]}

Every look, found or not. Fields: the held-out area under the ROC curve of a classifier that tells now from
then.

{parts["levels"]}

## Read by a person

Of the rendering with looks from {FIRST_LOOK}, written by hand:

- `features.stale`, May to November: the champion was fitted on a winter, and temperature says so. Right,
  and told once.
- `label.stale`, 15 July: June and July were disrupted by half as much again as the winter. Right, and a
  month late: a fortnight of weather strays too much for less.
- `features.shift` in June and September, by the dew point: a humid fortnight. A person would shrug: two
  alarms in 34 weeks that nobody needed.
- September's quiet (10.7 % disrupted after 17.8 %) is not found: p 0.12 against the weeks before, 0.04
  against training.
- 16 December: label rate doubled and money tenfold since the 5th. Right, and found in the first look
  after.
- Expected money was right to within USD 7,000 in eight months of nine, and missed December by 35,000:
  the same scores came true far more often. Label rates miss by 1 to 11 points: an estimate from scores
  cannot see that their meaning has changed before outcomes come. Its interval held in 15 of 18 looks,
  not the 17 it should.
- Only 2 of 18 estimates were doubted, and being doubted says little: their errors are hardly larger.
"""


def main() -> None:
    """Build, evaluate, look, render."""
    task = load_task(ROOT / TASK)
    rows = build(task)
    over_time = trainer("evaluate", TASK, "--by", "month")
    months = [
        trainer("evaluate", TASK, "--since", since, "--until", until) for since, until in pairwise(MONTHS)
    ]
    recent = trainer("evaluate", TASK)
    looks, sightings = fortnightly_looks(task)
    year = whole_year(task)
    parts = {
        "months": months_section(over_time),
        "disagreements": disagreements_section(months),
        "expected": expected_section(by_month(task, year)),
        "trust": trust_section(looks, year),
        "findings": findings_section(sightings),
        "levels": levels_section(looks),
    }
    PAGE.write_text(render(rows, recent, parts))
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
