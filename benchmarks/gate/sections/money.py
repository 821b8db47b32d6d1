"""Promotions of who gains nothing, or something, by bets alone: the sections on money."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.gate.sections.figures import share
from benchmarks.pages.markdown import table

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPLORATION_NOTE = """\
The bets alone, on single rows. Amounts are log-normal, cut at USD 500; to block a good payment costs USD 25.
The candidate lets half of the good ones through of the 2 % that the champion blocks; two fifths are fraud."""
PRICE_NOTE = """\
An explored row is bet on against a bound 1 / share times as large, so about so many times the rows are
needed. What exploring has cost by then hardly depends on the share: a small one only takes longer."""


def nulls(found: Mapping[str, Any]) -> str:
    """How often a candidate that gains nothing is promoted, beside other procedures."""
    independent = table(
        ["Nothing is gained, looked at after every row", "gate", "bar", "t-test, looked at after every row"],
        [
            [
                f"{one['null']} ({one['streams']:,} streams of {one['rows']:,} rows)",
                share(one["gate"]),
                "5 %",
                share(one["t_test"]),
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
    day, row = share(seasonal["any_day"]), share(clusters["by_row"])
    others = [
        [weeks, share(seasonal["gate"]), "1 %", f"{day}: the same bets, read after every day"],
        [shared, share(clusters["gate"]), "5 %", f"{row}: the same bets, on rows"],
    ]
    return independent + "\n\n" + table(["Nothing is gained", "gate", "bar", "control"], others)


def power(found: Mapping[str, Any]) -> str:
    """Rows until one that gains is promoted."""
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


def exploration(found: Mapping[str, Any]) -> str:
    """What it costs to explore where the champion hides outcomes."""
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
    return f"{EXPLORATION_NOTE}\n\n{price}\n\n{note}"
