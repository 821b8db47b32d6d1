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

- `boosting`, fitted for the fourth time, became champion on 20 July, and the managed champion earned USD
  9,586 per 1,000 flights [3,937; 15,235] more than the first model all year. That is 40 % of what the newest
  model, taken every month, earned more than the first. Nearly all of the rest was lost before that day: the
  bets asked for 15 weeks, and June and July were the dear ones. From August to December the two are about
  900 apart.
- Before bets followed a recipe, the gate promoted nobody in this year: each month's three fits shared what
  the months before had left of one error, and an e-value of 186 in May met a wanted one of 560. That result
  was known when this was built; the policy, the recipes and the bets were left as they were.
- After July nobody earned a promotion over `boosting` of July: the later fits gained little on it.
- The probation of the new champion could not be judged: on two days the first model, to return, would have
  put USD 536,483 at risk, more than the 480,000 declared for a day, so the bets prove nothing either way.
  Such a probation lapses when 91 days have matured, the policy's deadline, here in October; the first model
  scores no more then, and whether it would have earned more was not shown.
- `boosting_balanced` was turned down three times for the money that it lost.
- Nothing here needed the gate: the hold-out named `boosting` in all nine months, by money and by accuracy,
  and it earned more than the first model in each. In a year whose newest model is bad, the other
  side would show.
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
