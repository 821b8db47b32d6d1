"""docs/gate.md, from the results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.environments import HERE, ROOT
from benchmarks.pages.markdown import number, table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RESULT, PAGE = HERE / "results" / "gate.json", ROOT / "docs" / "gate.md"
GENERATED = (
    "<!-- Rendered by `python -m benchmarks.gate` from benchmarks/results/gate.json; not edited by hand. -->"
)
INTRO = """\
A candidate is promoted when bets on it have won enough. Each unit of evidence (a whole day, or one entity's
day where the task names an entity) is the money that the candidate's decisions earned over the champion's,
divided by the largest loss that the policy declares for a unit; five bettors stake constant shares on every
unit, and the mean of what they have is the *e-value*. While the candidate is not better, it reaches 1 /
error with a chance of at most `error`, however often one looks. It is read at the end of whole cycles
(weeks), so that a gain on some weekdays proves nothing. The sources are named in `trainer/betting.py`;
`trainer/gate.py` is the order of the verdicts, `trainer/vetoes.py` what stands against one.

What the guarantee rests on, and how each is watched:

* *No unit loses more than declared.* What a unit could lose is known from the two models' decisions before
any outcome;   one unit that could lose more is enough, and the gate holds.
* *A unit's expectation, given the past, is what is asked about.* With an entity, days whose totals vary more
than   independent entities would let them make the gate hold. Without one, whole days are units.
* *What is judged stands for the rest.* Only days that have matured entirely count; rows without a label are
compared with the others;   where an action hides the outcome, explored rows stand for those that hid it, and
without any the answer is "not identifiable".
* *Every candidate is counted.* All that are tried against one champion share its error; the first n that
come together   need an e-value of 20 (n + 1), later ones more (`trainer/budget.py`). A recipe that is fitted
anew counts once: its bets go on from fit to fit, and so does its part.

Below, "gate" is this procedure run by the functions that the gate itself uses, and the control is what is
often done instead. Each figure is a share of streams unless it says otherwise."""


EXPLORATION_NOTE = """\
Payments of log-normal amounts, cut at USD 500; to block a good one costs USD 25. What the champion blocks is
never seen to be fraud, unless it is explored. In the first table the candidate blocks payments that the
champion lets through, and wins; and lets through as many that the champion blocks, and loses as much. In the
second it lets half of the good ones through of the 2 % that the champion blocks, of which 40 % are fraud."""
PRICE_NOTE = """\
An explored row is bet on against a bound 1 / share times as large, so about so many times the rows are
needed. What exploring has cost by then hardly depends on the share: a small one only takes longer."""
REFITS_NOTE = """\
What is guaranteed is the first line: bets that follow a recipe win against a champion that no fit of it beats
with the chance that the error allows, because each fit was made before the rows that it is bet on. (Here fits
change between weeks, rows mature at once, and of the gate's verdicts only those on money are drawn.) That the
very fit that is promoted is better is not what the bets say. So it must have come through a whole cycle by
itself and earned there, and is on probation afterwards (28 days of 200 rows here, which is little). Recipes
of which three fits earned one point, and whose fourth one loses; where the bets had won before it came,
something else held the promotion:"""
SPEED_NOTE = """\
Shares of streams that pass at some look, and rows until a verdict. Bars: at most 5 % of passes at the
budget and under bursts, a median of 1,500 rows to pass at 0.2 %, and 600 to be turned down at 3 %. Rows as
units meet three of them and fail under bursts; long blocks bear bursts and need many rows. No procedure
meets all four for bursts of more than five rows: where one row in a hundred is over in bursts of L rows,
1,500 rows hold no slow one with a chance of about exp(-15 / L), so what passes on 1,500 fast rows passes
that null as often. And a block without a slow row multiplies the capital by 1 / 0.99 at most, so passing
takes 300 blocks or more. The policy's `latency_block` chooses, 20 unless it says otherwise: on the CPU
clock, which decides, a stall slows few rows, because waiting for a core does not count (docs/adr/0002)."""
WAITS_NOTE = """\
Whoever judges the canary by its own waits ends it for a busy hour. A t-test sees the same differences, but
not that it is looked at again and again. "Without the one in a hundred" are bets on the differences alone,
with no tolerance to help them; where as many are slow of both, their expectation is 0. A stake that follows
the number of slow calls makes more of a quiet block than of one in which the champion stalls. At the limit,
as with CPU time, a block must be about ten times as long as a stall of the canary's own."""


def render(results: Mapping[str, Any]) -> str:
    """The page of the parts that there are."""
    sections = [
        f"## {title}\n\n{part(results[name])}" for name, (title, part) in _PARTS.items() if name in results
    ]
    made = "\n".join(
        f"* `{name}`: {results[name]['measured']}, commit {results[name]['commit']}"
        for name in _PARTS
        if name in results
    )
    command = "```sh\npython -m benchmarks.gate\n```"
    seeds = "Seeds are in `benchmarks/gate/`, beside each stream."
    how = f"## Made by\n\n{command}\n\n{made}\n\n{seeds}"
    title = "# The gate, on streams whose truth is known"
    return "\n\n".join([GENERATED, title, INTRO, *sections, how]) + "\n"


def _nulls(found: Mapping[str, Any]) -> str:
    independent = table(
        ["Nothing is gained, looked at after every row", "gate", "bar", "t-test, looked at after every row"],
        [
            [
                f"{one['null']} ({one['streams']:,} streams of {one['rows']:,} rows)",
                _share(one["gate"]),
                "5 %",
                _share(one["t_test"]),
            ]
            for one in found["independent"]
        ],
    )
    seasonal, clusters = found["seasonal"], found["clusters"]
    weeks = (
        f"won on weekdays, lost on weekends ({seasonal['streams']:,} streams of {seasonal['weeks']} weeks)"
    )
    shared = (
        f"entities of {clusters['rows']} rows that win or lose together ({clusters['streams']:,} streams)"
    )
    day, row = _share(seasonal["any_day"]), _share(clusters["by_row"])
    others = [
        [weeks, _share(seasonal["gate"]), "1 %", f"{day}: the same bets, read after every day"],
        [shared, _share(clusters["gate"]), "5 %", f"{row}: the same bets, on rows"],
        *(_late(one) for one in found["late"]),
    ]
    return independent + "\n\n" + table(["Nothing is gained", "gate", "bar", "control"], others)


def _late(one: Mapping[str, Any]) -> list[str]:
    control = f"{one['naive']} of {one['streams']}: {_NAIVE[one['candidate']]}"
    return [f"late labels, candidate {one['candidate']}", f"{one['gate']} of {one['streams']}", "0", control]


_NAIVE = {
    "blocks more": "labels as they come",
    "blocks less": "good when nothing was heard for a week",
}


def _power(found: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{one['gain']} ({one['streams']} streams)",
            f"{one['half']:,.0f}",
            f"{one['most']:,.0f}",
            f"{one['bar']:,.0f}",
            f"{one['t_test']:,.0f}",
        ]
        for one in found["rows"]
    ]
    head = [
        "Rows until promoted",
        "half of the streams",
        "80 %",
        "bar for 80 %",
        "t-test that may look once, 80 %",
    ]
    return table(head, rows) + "\n\nOne candidate that needs an e-value of 20, looked at after every row."


def _exploration(found: Mapping[str, Any]) -> str:
    nulls = table(
        ["Nothing is gained, looked at after every row", "gate", "bar", "rows without outcome left out"],
        [
            [
                f"{one['share'] * 100:.0f} % explored ({one['streams']} streams of {one['rows']:,} rows)",
                f"{one['gate']} of {one['streams']}",
                "0",
                f"{one['naive']} of {one['streams']}",
            ]
            for one in found["null"]
        ],
    )
    better = found["better"]
    price = table(
        [
            "Rows until a better one is promoted",
            "half of the streams",
            "80 %",
            "exploring costs, USD per 1,000 rows",
            "until the 80 %",
        ],
        [
            [
                f"{one['share'] * 100:.0f} % explored" if one["share"] < 1 else "nothing hidden",
                f"{one['half']:,.0f}",
                f"{one['most']:,.0f}",
                f"{one['cost_per_1000']:,.1f}",
                f"{one['cost_per_1000'] * one['most'] / 1_000:,.0f}",
            ]
            for one in better
        ],
    )
    gain = f"It earns USD {better[0]['gain_per_1000']:,.0f} more per 1,000 rows"
    note = f"{gain} ({better[0]['streams']} streams).\n{PRICE_NOTE}"
    return f"{EXPLORATION_NOTE}\n\n{nulls}\n\n{price}\n\n{note}"


def _speed(found: Mapping[str, Any]) -> str:
    blocks = sorted({one["block"] for one in found["null"]})
    lengths = sorted({one["length"] for one in found["null"]})
    cell = {(one["length"], one["block"]): _share(one["passes"]) for one in found["null"]}
    head = ["One row in a hundred is over, in bursts of about", *(f"blocks of {block}" for block in blocks)]
    nulls = table(
        head, [[f"{length} rows", *(cell[length, block] for block in blocks)] for length in lengths]
    )
    fast = ["0.2 % over: rows until passed, median (80 %)", *(_rows(one) for one in found["pass"])]
    slow = ["3 % over: rows until turned down, median (80 %)", *(_rows(one) for one in found["flag"])]
    times = table(["Independent rows", *(f"blocks of {block}" for block in blocks)], [fast, slow])
    return f"{nulls}\n\n{times}\n\n{SPEED_NOTE}"


def _waits(found: Mapping[str, Any]) -> str:
    nulls = table(
        [
            "No more calls are slow of the canary's, on average",
            "ended",
            "bar",
            "without the one in a hundred",
            "stake by the number of slow calls",
            "t-test on the same differences",
            "the canary held to one in a hundred by itself",
        ],
        [
            [words, _share(one["ended"]), "5 %"]
            + [_share(one[name]) for name in ("strict", "told", "by_t", "alone")]
            for words, one in (
                *((_slow_calls(one["length"]), one) for one in found["null"]),
                *((_stalls(found["stalls"], one["steady"]), one) for one in found["stalling"]),
            )
        ],
    )
    limit = table(
        ["One call in a hundred more is slow, in bursts of about", "shown to keep to it", "bar", "ended"],
        [
            [f"{one['length']} of its calls", _share(one["passes"]), "5 %", _share(one["ended"])]
            for one in found["limit"]
        ],
    )
    times = table(
        [
            "Slow calls: champion's, canary's",
            "its calls until it is ended, median (80 %)",
            "until it is shown",
        ],
        [
            *([f"{one['champion']:.1%}, {one['canary']:.1%}", _rows(one), ""] for one in found["worse"]),
            [f"{found['alike']['champion']:.1%}, {found['alike']['canary']:.1%}", "", _rows(found["alike"])],
        ],
    )
    how = (
        f"The canary answers {found['share']:.0%} of {found['calls']:,} calls, {found['streams']} streams; "
        f"blocks of {found['block']} of its calls on average, looked at after each. An e-value of "
        f"{found['wanted']:,.0f} ends it, its part of the error where the policy has three shares; 20 shows "
        "it to keep to the champion's share of slow calls and one in a hundred."
    )
    return f"{how}\n\n{nulls}\n\n{limit}\n\n{times}\n\n{WAITS_NOTE}"


def _slow_calls(length: int | None) -> str:
    return (
        f"one call in a hundred is slow, in bursts of about {length}"
        if length
        else "three calls in ten are slow in every fourth hour"
    )


def _stalls(champion: float, canary: float) -> str:
    return (
        f"{champion:.0%} of the champion's, in stalls of whole blocks; of the canary's {canary:.0%} in each"
    )


def _refits(found: Mapping[str, Any]) -> str:
    kinds = table(
        [
            "Each fit earns more than the champion, at one row in ten decided otherwise",
            "bets follow the recipe",
            "each fit by itself, one error for all",
            "each fit by itself, 5 % for each",
        ],
        [
            [one["kind"], *(_weeks_of(one[name], found) for name in ("followed", "alone", "undivided"))]
            for one in found["kinds"]
        ],
    )
    bad = table(
        [
            "Before the fourth fit",
            "it earns",
            "promoted",
            "without the rule that it must have earned itself",
            "of the promoted, rolled back within the probation",
        ],
        [
            [
                "the bets had won" if one["won"] else "undecided",
                f"{one['points']:+g} points",
                _share(one["promoted"]),
                _share(one["unguarded"]),
                "-" if one["back"] is None else _share(one["back"]),
            ]
            for one in found["bad"]
        ],
    )
    return (
        f"Fitted every {found['fit_weeks']} weeks for {found['weeks']}, {found['streams']} streams of "
        f"{found['day']} rows a day, read every week; a fit by itself has the deadline of 13 weeks. Shares "
        f"of streams in which somebody is promoted, and days until half (80 %) of all streams.\n\n{kinds}"
        f"\n\n{REFITS_NOTE}\n\n{bad}"
    )


def _weeks_of(one: Mapping[str, float], found: Mapping[str, Any]) -> str:
    never = 7 * found["weeks"]
    half, most = (f"{one[name]:.0f}" if one[name] <= never else "-" for name in ("half", "most"))
    return f"{_share(one['promoted'])}; {half} ({most})"


def _rollback(found: Mapping[str, Any]) -> str:
    declines = table(
        [
            "New champion before, at one row in ten decided otherwise",
            "then",
            "rows until rolled back, median",
            "80 %",
            "bar for the median",
            "rolled back before the decline",
        ],
        [
            [
                f"{one['before']:+.0f} points",
                f"{one['before'] - one['drop']:+.0f} points",
                f"{one['half']:,.0f}",
                f"{one['most']:,.0f}",
                f"{found['bar']:,}" if one["drop"] == 2.0 else "",  # noqa: PLR2004 - the issue's drop
                _share(one["early"]),
            ]
            for one in found["declines"]
        ],
    )
    nulls = table(
        ["The two are equal", "rolled back", "bar", "t-test on the last seven days, every day"],
        [[one["null"], _share(one["alarms"]), "5 %", _share(one["control"])] for one in found["nulls"]],
    )
    seasonal = found["seasonal"]
    return (
        f"The former champion goes on scoring, and bets on it are begun anew every day with one part in "
        f"{found['days']} of the money, that many days being the probation here (28 unless the policy says "
        f"otherwise, and then nobody is left to return after them); at an e-value of 20 it returns. "
        f"{found['streams']} streams of {found['days']} days of {found['day']:,} rows, the decline after "
        f"{found['change']:,} rows; read at the end of each day. Delays count from the decline, in matured "
        f"rows.\n\n{declines}\n\n{nulls}\n\n"
        f"A former champion that wins on weekdays and loses as much on weekends ({seasonal['weeks']} weeks) "
        f"returns in {_share(seasonal['daily'])} of the streams when the bets are read and begun every day, "
        f"and in {_share(seasonal['weekly'])} when every week (`rollback_every_days`)."
    )


def _oracle(found: Mapping[str, Any]) -> str:
    return (
        f"Over {found['streams']} streams of {found['units']} units the logarithm of the e-value differs "
        f"from that of `ville` "
        f"{found['ville']} by at most {found['difference']:.1e} (bar 1e-9; the gate keeps nine decimals)."
    )


def _million(found: Mapping[str, Any]) -> str:
    return (
        f"{found['joined']:,} joined rows in a log of {found['log_mb']:,.0f} MB, {found['units']:,} units "
        f"of an entity's day: "
        f"evidence in {found['seconds']:.1f} s (bar 10 s), with {found['peak_mb']:,.0f} MB at most (bar "
        f"1,000 MB), of which "
        f"{found['idle_mb']:,.0f} MB before the log was opened."
    )


def _flights(found: Mapping[str, Any]) -> str:
    recipes = found["recipes"]
    shown = [3, 4, 8, 12, 13, 17, 26, 34]
    weeks = table(
        [
            "Whole weeks from 2 May",
            *(f"{one['recipe']}: for / against, USD per 1,000 [95 % of one look]" for one in recipes),
        ],
        [
            [_when(recipes[0]["weeks"][week - 1]), *(_bet(one["weeks"][week - 1]) for one in recipes)]
            for week in shown
        ],
    )
    bounds = table(
        ["Largest loss of a day declared, USD", *(one["recipe"] for one in recipes)],
        [
            [f"{int(bound):,}", *(_week(one["bounds"][bound]) for one in recipes)]
            for bound in recipes[0]["bounds"]
        ],
    )
    risk = "; ".join(
        f"{one['recipe']} {one['most_at_risk']:,.0f} and {one['worst_day']:+,.0f}" for one in recipes
    )
    return (
        f"Money only, as if no other verdict stood against a candidate; fitted as the demo fits, "
        f"{found['tried']} tried, so that {found['wanted']:,.0f} "
        f"promotes; {found['bound']:,.0f} dollars are declared as the largest loss of a day. An e-value "
        f"against of 20 turns down.\n\n"
        f"{weeks}\n\n{bounds}\n\nWeek at whose end it would be promoted. The most that a day put at risk, "
        f"and the "
        f"worst that one gained, in dollars: {risk}.\n\nWhat the gate decides when models are fitted anew "
        "every month, and what that earns beside a frozen model and beside always taking the newest one, is "
        "in [a year under the gate](managed-year.md)."
    )


def _when(week: Mapping[str, Any]) -> str:
    return f"{week['week']}, to {week['until']}" + (f" ({week['look']})" if week["look"] else "")


def _bet(week: Mapping[str, Any]) -> str:
    money = f"{week['gain']:+,.0f} [{week['lower']:+,.0f}; {week['upper']:+,.0f}]"
    return f"{number(week['for'])} / {number(week['against'])}, {money}"


def _week(week: int | None) -> str:
    return "never" if week is None else f"{week}"


def _share(value: float) -> str:
    return f"{value:.2%}".replace("%", " %")


def _rows(one: Mapping[str, Any]) -> str:
    return f"{one['half']:,.0f} ({one['most']:,.0f})"


_PARTS: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "nulls": ("False promotions", _nulls),
    "power": ("Power", _power),
    "exploration": ("Outcomes that the champion hides", _exploration),
    "speed": ("Latency", _speed),
    "waits": ("A canary's callers", _waits),
    "refits": ("A recipe that is fitted anew", _refits),
    "rollback": ("After a promotion", _rollback),
    "oracle": ("The e-value beside another implementation", _oracle),
    "million": ("A million rows", _million),
    "flights": ("The flights example", _flights),
}
