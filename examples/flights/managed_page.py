"""docs/managed-year.md, from what happened in the year."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from flights_data import new_york_day
from reigns import ahead, best_by, earned

from trainer.days import iso_day
from trainer.gate import Action

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from managed_year import Year
    from numpy.typing import NDArray

    from trainer.interval import Interval
    from trainer.join import JoinedRows
    from trainer.task import Task

    Money = Mapping[str, NDArray[np.float64]]

NAMES = {
    "managed": "managed by the gate",
    "frozen": "the first model, frozen",
    "newest by hold-out money": "always the newest, best on the hold-out by money",
    "newest by accuracy": "always the newest, best on the hold-out by accuracy",
}
READ = """
## Read by a person

Of the rendering that is committed, written by hand:

- The gate promoted nobody, either way. The managed champion is the first model all year, and earned USD
  23,981 per 1,000 flights [15,772; 32,190] less than the newest model, taken every month.
- It is not the gain that was missing. `boosting` of May gained 46,080 per 1,000 in its 13 weeks, e-value 186;
  that of June came to 344. Three candidates that come alone need 80. But each month's three share what the
  months before left of one error: 80, 560, 1,400, 2,600, and 6,080 in September. Fitting anew every month,
  against one champion, spends the error faster than 91 days of evidence earn it back. Fitted anew once, in
  May, `boosting` is promoted after 12 weeks with five tried ([the gate](gate.md)).
- Waiting while somebody is undecided was no better here: `boosting` of April, fitted on the least data, came
  to 14.8 in its 13 weeks and held the place until July; the next, of August, met the quiet autumn and needed
  560.
- Both speak for evidence that follows the recipe from fit to fit, in place of the single model; the project
  does not do that.
- What a candidate had won is lost when its deadline passes: the next fit of the same recipe begins at 1.
- `boosting_balanced` was turned down eight times, five of them for the money it lost.
- Nothing here needed the gate: the hold-out named `boosting` in all nine months, by money and by accuracy,
  and it earned more than the first model in each. In a year whose newest model is bad, the other side would
  show.
"""
"""Written by hand."""


def render(
    task: Task,
    year: Year,
    rows: JoinedRows,
    money: Money,
    seconds: float,
) -> str:
    """The page. money: what each policy earned on each row."""
    first = iso_day(int(rows.event_ns[0]))
    recipes = ", ".join(task.candidates)
    budget_s = (task.policy.latency_budget_us or 0) / 1e6
    return f"""# A year under the gate

Rendered by `python examples/flights/managed_year.py` in {seconds / 60:.0f} minutes; every random state is 0.
Do not edit.

Who should decide on the flights of 2013: a model that was fitted once, the newest one always, or whichever
the gate promotes? All begin with the same first champion, `logistic` on the flights known on 16 March, and
decide on the {len(rows):,} flights from {first} to the end of the year. On the first of each month, from
April on, the recipes are fitted on what the log knows by then ({recipes}). Then

* **managed**: each takes the place of its recipe's earlier fit in the shadow, and goes on with its bets;
  every seventh day the gate looks, as known at that midnight (UTC), and the best of those that it promotes
  becomes champion, on probation for {task.policy.probation_days} days;
* **frozen**: nothing ever changes;
* **always the newest**: the recipe with the best hold-out figure takes over at once, unjudged.

The log is real, and so is all that is done with it: snapshots, fits, admission, shadows, evidence, decisions,
promotions, by the functions that `trainer run` calls. The pipelines ran in the page's own process over one
batch a day (`examples/flights/year.py`); a batch gives, bit for bit, what single requests give
(`tests/test_served_parity.py`). **It says nothing of latency**: a row's time in this log is its batch's,
divided. So the task's policy is used with a budget of {budget_s:g} s of CPU a row in place of its own, and
`big_forest`, which the demo turns down for its latency, is not retrained. No monitor's finding is given to
the gate. Money is USD per 1,000 flights, with 95 % intervals of whole UTC days;
differences are paired, on the same flights.

## The whole year

{_totals(rows, money)}

## Month by month

{_months(rows, money)}

## Who decided when

{_reigns(year)}

What the hold-outs said, from which the newest were taken:

{_hold_outs(year)}

## What the gate decided

It looked {year.looks} times, and at the end of the year these are in the shadow: {_named(year.waiting)}.

{_decisions(year)}
{READ}"""


def _totals(rows: JoinedRows, money: Money) -> str:
    lines = [
        [
            label,
            _amount(earned(money[name], rows.event_ns)),
            "-" if name == "managed" else _amount(ahead(money["managed"], money[name], rows.event_ns)),
        ]
        for name, label in NAMES.items()
    ]
    return _table(["policy", "USD per 1,000", "managed earned more by"], lines)


def _months(rows: JoinedRows, money: Money) -> str:
    lines = []
    month_of = new_york_day(rows.event_ns).astype("datetime64[D]").astype("datetime64[M]")
    for month in np.unique(month_of):
        inside = np.flatnonzero(month_of == month)
        event_ns = rows.event_ns[inside]
        cells = [_amount(earned(money[name][inside], event_ns)) for name in NAMES]
        lines.append([str(month), f"{len(inside):,}", *cells])
    return _table(["month", "flights", *NAMES.values()], lines)


def _reigns(year: Year) -> str:
    lines = [
        [NAMES[name], ", ".join(f"`{one.version}` from {iso_day(one.since_ns)}" for one in reigns)]
        for name, reigns in year.reigns.items()
        if name != "frozen"
    ]
    return _table(["policy", "models"], lines)


def _hold_outs(year: Year) -> str:
    recipes = list(next(iter(year.fitted.values())))
    lines = []
    for month, reports in year.fitted.items():
        by_money = best_by(reports, lambda report: report.utility_per_1000)
        by_accuracy = best_by(reports, lambda report: report.accuracy)
        cells = [
            f"{_marked(f'{reports[one].utility_per_1000:+,.0f}', one == by_money)}, "
            f"{_marked(f'{reports[one].accuracy:.4f}', one == by_accuracy)}"
            for one in recipes
        ]
        lines.append([month, *cells])
    return _table(["fitted on", *(f"{one}: USD per 1,000, accuracy" for one in recipes)], lines)


def _decisions(year: Year) -> str:
    lines = [
        [
            iso_day(at_ns),
            _marked(one.action, one.action is Action.PROMOTE),
            f"`{one.candidate.version}`",
            f"`{one.champion.version}`",
            one.reasons[0],
        ]
        for at_ns, one in year.decisions
    ]
    return _table(["looked on", "decision", "candidate", "against", "first reason"], lines)


def _named(versions: Sequence[str]) -> str:
    return ", ".join(f"`{one}`" for one in versions) or "nobody"


def _marked(text: str, best: bool) -> str:
    return f"**{text}**" if best else text


def _amount(interval: Interval) -> str:
    return f"{interval.estimate:+,.0f} [{interval.lower:+,.0f}; {interval.upper:+,.0f}]"


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [columns, ["---"] * len(columns), *lines])
