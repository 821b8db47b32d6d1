"""What the gate makes of a candidate that goes on from earlier fits of its recipe."""

from dataclasses import replace

import pytest
from made_evidence import CANDIDATE, GAINS, accounting, cycles, gained, judge

from trainer.evidence import EarlierFit, Own
from trainer.gate import Action

EARLIER = EarlierFit(replace(CANDIDATE, version="may", digest="e" * 64), 0, 9, None, 700, 140)
UNDECIDED = gained(-80, 90, -70, 85)


def refitted(*own_gains: float, joined=500, changed=60, days=None) -> dict:
    """Goes on from an earlier fit; its own days gained so much each, and each is a cycle."""
    of_its_own = Own(len(own_gains) if days is None else days, joined, changed, cycles(*own_gains))
    return {"earlier": (EARLIER,), "own": of_its_own}


BRANCHES = {
    "recipe earns more, and so does the new fit": (
        refitted(*GAINS[8:]),
        Action.PROMOTE,
        "over 2 fits of the recipe: 700 decisions of earlier ones and 500 of its own, on which it gained USD",
    ),
    "the new fit has shown nothing": (
        refitted(),
        Action.HOLD,
        "No whole cycle has matured: 0 of 1 days of its own, without the earlier fits of its recipe",
    ),
    "the new fit has shown little": (refitted(80.0, joined=499), Action.HOLD, "499 of 500 of its own"),
    "the new fit did not earn": (
        refitted(50.0, -60.0),
        Action.HOLD,
        "does not stand for it: this one comes to USD -10 in 2 cycles of its own, over 60 decisions",
    ),
    "the new fit loses": (
        refitted(*(-95.0 for _ in range(8))),
        Action.REJECT,
        "It loses money against the champion: USD -760",
    ),
    "the recipe loses, whatever the new fit": (
        {**gained(*(-gain for gain in GAINS)), **refitted(80.0, 80.0)},
        Action.REJECT,
        "loses money against the champion: USD",
    ),
    "long undecided, the new fit is young": (
        {**UNDECIDED, **refitted(90.0, days=10), "judged": accounting(1200, whole_days=40)},
        Action.HOLD,
        "Undecided",
    ),
    "an old gap that a new fit does not mend": (
        {**refitted(90.0, days=10), "judged": accounting(1200, whole_days=30, shed=100)},
        Action.REJECT,
        "The evidence is incomplete",
    ),
    "an old gap that may yet be mended": (
        {**refitted(90.0, days=10), "judged": accounting(1200, whole_days=29, shed=100)},
        Action.HOLD,
        "The evidence is incomplete",
    ),
    "the new fit's own deadline has passed": (
        {**UNDECIDED, **refitted(90.0, days=30), "judged": accounting(1200, whole_days=40)},
        Action.REJECT,
        "Undecided",
    ),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_gate_over_fits(name):
    changes, action, words = BRANCHES[name]
    decision = judge(**changes)
    assert decision.action is action
    assert words in decision.reasons[0]
