"""Labels that are late or hidden, through the whole gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.pages.markdown import table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LATE_NOTE = """\
The whole gate: each stream is about {a_day} payments a day, of 100 cards, some of which pay twice, for up to
{days} days. They are written into a log as a sidecar writes it, outcomes when they arrive, and the functions
that `trainer watch` calls gather evidence and decide, with a maturity of {maturity} days, until they promote
or turn down, after 91 judged days whoever is undecided. A promotion at any look counts. An e-value of 40
promotes, because one candidate by itself has half of an error of 5 %; what is guaranteed is that at most one
in 40 who gain nothing is promoted. They are asked at the end of every cycle, and every day where the bets
have won and something else holds; in between the bets stand still. The largest loss declared for a card's day
is that of two payments of the largest amount, for as many rows as one may stand for. One outcome in a hundred
never comes, and the shadow leaves out two rows in a thousand.

Frauds are known after up to 30 days, good payments only when those are over. On six payments in ten the two
models differ. One in five of these is fraud, and to block a good one costs a quarter of its amount, so that
the two cancel; amounts are log-normal, cut at USD 2,000. Payments of one card on one day are all fraud or all
good, and decided alike."""
HIDDEN_NOTE = """\
The whole gate, as for late labels; and what the champion blocks is never seen to be fraud, unless it is
explored. Of the six payments in ten on which the two differ the candidate blocks half, which the champion
lets through, and wins; and lets the other half through, and loses as much. Three in ten are fraud, a good one
costs a fifth of its amount to block, and amounts are cut at USD 500."""
CONTROL_NOTE = "The controls go the same way through log, evidence and gate."
LATE_CONTROL = """\
"Labels as they come" is a task that declares a maturity of nothing. "Good when nothing was heard for a week"
is a caller who reports so, and corrects it when the fraud is known, and a task that declares a maturity of
seven days. Both are without the verdicts on labels that lack or come late;
with them, {held} are held."""
HIDDEN_CONTROL = """\
"Rows without outcome left out" is the same log under a task that does not say what hides outcomes, without
the verdicts on labels that lack (with them, {held} are held)."""
_CONTROLS = {
    "blocks more": "labels as they come",
    "blocks less": "good when nothing was heard for a week",
}
_STOOD = {
    "loss": "the bets against it won",
    "bets": "the bets were undecided",
    "objection": "an objection (a slice that loses, a bound)",
    "doubt": "a doubt (labels, units)",
    "gap": "a gap",
    "fault": "a fault",
}


def late(found: Mapping[str, Any]) -> str:
    """Labels that come late."""
    kinds = [(f"candidate {one['candidate']}", _CONTROLS[one["candidate"]], one) for one in found["kinds"]]
    held = " and ".join(_guarded(one["guarded"], one["naive"]) for one in found["kinds"])
    controls = LATE_CONTROL.format(held=held)
    return "\n\n".join(
        [
            LATE_NOTE.format(**found),
            _tables([(name, _control(one, control), one) for name, control, one in kinds]),
            f"{CONTROL_NOTE}\n{controls}",
        ]
    )


def hidden(found: Mapping[str, Any]) -> str:
    """Labels that the champion hides."""
    control = "rows without outcome left out"
    kinds = [(f"{one['share'] * 100:.0f} % explored", _control(one, control), one) for one in found["kinds"]]
    guarded, naive = (sum(one[name] for one in found["kinds"]) for name in ("guarded", "naive"))
    controls = HIDDEN_CONTROL.format(held=_guarded(guarded, naive))
    return "\n\n".join([HIDDEN_NOTE, _tables(kinds), f"{CONTROL_NOTE}\n{controls}"])


def _tables(kinds: Sequence[tuple[str, str, Mapping[str, Any]]]) -> str:
    """The candidates that gain nothing, how they ended, and those that gain; of each a name and a control."""
    nulls = table(
        [
            "Nothing is gained",
            "promoted",
            "bar",
            "its bets had won at some cycle's end",
            "bets on single rows, e-value of 20 after some row",
            "control, median day",
        ],
        [
            [name, _of(one, "promoted"), "0", _of(one, "won"), _of(one, "by_row"), control]
            for name, control, one in kinds
        ],
    )
    stood = [kind for kind in _STOOD if any(kind in one["stood"] for _, _, one in kinds)]
    ends = table(
        ["Turned down, because", *(_STOOD[kind] for kind in stood), "held although the bets had won"],
        [
            [name, *(f"{one['stood'].get(kind, 0)}" for kind in stood), _held(one["held"])]
            for name, _, one in kinds
        ],
    )
    better = table(
        ["It earns more", "USD per 1,000 payments", "promoted", "by day: half of the streams", "80 %"],
        [
            [
                name,
                f"{one['better']['gain_per_1000']:,.0f}",
                _of(one["better"], "promoted"),
                *(_day(one["better"], part) for part in ("half", "most")),
            ]
            for name, _, one in kinds
        ],
    )
    return f"{nulls}\n\n{ends}\n\n{better}"


def _of(one: Mapping[str, Any], name: str) -> str:
    return f"{one[name]} of {one['streams']}"


def _control(one: Mapping[str, Any], words: str) -> str:
    return f"{_of(one, 'naive')}, day {one['naive_days']:.0f}: {words}"


def _guarded(guarded: int, naive: int) -> str:
    """How many of the promoted controls the guards would have held."""
    return f"all {naive}" if guarded == naive else f"{guarded} of the {naive}"


def _held(held: Mapping[str, int]) -> str:
    return "; ".join(f"{count} by {_STOOD[kind]}" for kind, count in held.items()) or "none"


def _day(better: Mapping[str, Any], part: str) -> str:
    return f"{better[part]:.0f}" if better[part] <= better["days"] else "-"
