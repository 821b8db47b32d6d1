"""The bets on real rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.pages.markdown import number, table

if TYPE_CHECKING:
    from collections.abc import Mapping


def flights(found: Mapping[str, Any]) -> str:
    """The bets on the recipes of the flights example."""
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
