"""CPU time and callers' waits: the sections on clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.gate.sections.figures import delay, share
from benchmarks.pages.markdown import table

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def speed(found: Mapping[str, Any]) -> str:
    """False passes, and rows until a verdict on CPU time."""
    blocks = sorted({one["block"] for one in found["null"]})
    lengths = sorted({one["length"] for one in found["null"]})
    cell = {(one["length"], one["block"]): share(one["passes"]) for one in found["null"]}
    head = ["One row in a hundred is over, in bursts of about", *(f"blocks of {block}" for block in blocks)]
    nulls = table(
        head, [[f"{length} rows", *(cell[length, block] for block in blocks)] for length in lengths]
    )
    fast = ["0.2 % over: rows until passed, median (80 %)", *(delay(one) for one in found["pass"])]
    slow = ["3 % over: rows until turned down, median (80 %)", *(delay(one) for one in found["flag"])]
    times = table(["Independent rows", *(f"blocks of {block}" for block in blocks)], [fast, slow])
    return f"{nulls}\n\n{times}\n\n{SPEED_NOTE}"


def waits(found: Mapping[str, Any]) -> str:
    """How often a canary is ended, and after how many of its calls."""
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
            [words, share(one["ended"]), "5 %"]
            + [share(one[name]) for name in ("strict", "told", "by_t", "alone")]
            for words, one in (
                *((_slow_calls(one["length"]), one) for one in found["null"]),
                *((_stalls(found["stalls"], one["steady"]), one) for one in found["stalling"]),
            )
        ],
    )
    limit = table(
        ["One call in a hundred more is slow, in bursts of about", "shown to keep to it", "bar", "ended"],
        [
            [f"{one['length']} of its calls", share(one["passes"]), "5 %", share(one["ended"])]
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
            *([f"{one['champion']:.1%}, {one['canary']:.1%}", delay(one), ""] for one in found["worse"]),
            [
                f"{found['alike']['champion']:.1%}, {found['alike']['canary']:.1%}",
                "",
                delay(found["alike"]),
            ],
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
