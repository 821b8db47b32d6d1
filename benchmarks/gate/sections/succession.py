"""Who follows whom: fits of one recipe, and champions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.gate.sections.figures import share
from benchmarks.pages.markdown import table

if TYPE_CHECKING:
    from collections.abc import Mapping

REFITS_NOTE = """\
What is guaranteed is the first line: bets that follow a recipe win against a champion that no fit of it beats
with the chance that the error allows, because each fit was made before the rows that it is bet on. (Here fits
change between weeks, rows mature at once, and of the gate's verdicts only those on money are drawn.) That the
very fit that is promoted is better is not what the bets say. So it must have come through a whole cycle by
itself and earned there, and is on probation afterwards (28 days of 200 rows here, which is little). Recipes
of which three fits earned one point, and whose fourth one loses; where the bets had won before it came,
something else held the promotion:"""


def refits(found: Mapping[str, Any]) -> str:
    """A recipe whose fits take each other's place."""
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
                share(one["promoted"]),
                share(one["unguarded"]),
                "-" if one["back"] is None else share(one["back"]),
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
    return f"{share(one['promoted'])}; {half} ({most})"


def rollback(found: Mapping[str, Any]) -> str:
    """How soon a champion that turns worse is taken back, and how often one that does not."""
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
                share(one["early"]),
            ]
            for one in found["declines"]
        ],
    )
    nulls = table(
        ["The two are equal", "rolled back", "bar", "t-test on the last seven days, every day"],
        [[one["null"], share(one["alarms"]), "5 %", share(one["control"])] for one in found["nulls"]],
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
        f"returns in {share(seasonal['daily'])} of the streams when the bets are read and begun every day, "
        f"and in {share(seasonal['weekly'])} when every week (`rollback_every_days`)."
    )
