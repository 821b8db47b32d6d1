"""docs/gate.md, from the results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.environments import HERE, ROOT
from benchmarks.gate.sections.checks import million, oracle
from benchmarks.gate.sections.clocks import speed, waits
from benchmarks.gate.sections.flights import flights
from benchmarks.gate.sections.labels import hidden, late
from benchmarks.gate.sections.money import exploration, nulls, power
from benchmarks.gate.sections.succession import refits, rollback

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
  any outcome; one unit that could lose more is enough, and the gate holds.
* *A unit's expectation, given the past, is what is asked about.* With an entity, days whose totals vary more
  than independent entities would let them make the gate hold. Without one, whole days are units.
* *What is judged stands for the rest.* Only days that have matured entirely count; rows without a label are
  compared with the others; where an action hides the outcome, explored rows stand for those that hid it, and
  without any the answer is "not identifiable".
* *Every candidate is counted.* All that are tried against one champion share its error; the first n that
  come together need an e-value of 20 (n + 1), later ones more (`trainer/budget.py`). A recipe that is fitted
  anew counts once: its bets go on from fit to fit, and so does its part.

Below, "gate" is the bets of this procedure alone, run by the functions that the gate itself uses. Where it
says "the whole gate", logs are written, and evidence and verdicts are the gate's own. The control is what is
often done instead. Each figure is a share of streams unless it says otherwise."""
_PARTS: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "nulls": ("False promotions", nulls),
    "late": ("Labels that come late", late),
    "hidden": ("Outcomes that the champion hides", hidden),
    "power": ("Power", power),
    "exploration": ("What exploring costs", exploration),
    "speed": ("Latency", speed),
    "waits": ("A canary's callers", waits),
    "refits": ("A recipe that is fitted anew", refits),
    "rollback": ("After a promotion", rollback),
    "oracle": ("The e-value beside another implementation", oracle),
    "million": ("A million rows", million),
    "flights": ("The flights example", flights),
}


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
