"""Payments of cards, day by day, on which champion and candidate differ, drawn with a truth that is known.

Payments of one card on one day share their fate: all of them are fraud or none is, they are reported
together, and the two models decide them alike. That is as dependent as rows of one entity can be.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.gate.streams import amounts, mean_amount
from sidecar.signature import Field, Kind, Signature
from trainer.days import DAY_NS, nanoseconds
from trainer.policy import Policy
from trainer.task import Candidate, Columns, ExpectedUtility, Task, Transform
from trainer.utility import Amount, CostTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

START_NS = 15_706 * DAY_NS
MATURITY = timedelta(days=30)
JUDGED_DAYS = 91
"""After so many that have matured the gate turns down whoever is undecided."""
DAYS = MATURITY.days + JUDGED_DAYS
CARDS_A_DAY, TWICE = 100, 0.3
"""Cards that pay on a day, and the share of them that pay twice: about 130 payments."""
MOST_A_DAY = 2
_CARDS, _COUNTRIES = 5_000, 10
_OTHER_FRAUD = 0.02
"""Share of fraud where the two models decide alike, which is where both let the payment through."""
_SHED, _NEVER_HEARD = 0.002, 0.01
"""Shares of rows that the candidate's shadow leaves out, and whose outcome never comes; drawn at random."""


@dataclass(frozen=True)
class World:
    """What matters of payments.

    stops, lets: shares of cards' days that only the candidate blocks, and that only the champion blocks.
    stops_fraud, lets_fraud: how much of each is fraud. cap: no amount is above it. friction: what it costs to
    block a good payment, as a share of its amount. So where the two models' gains cancel they do so at every
    amount, and the gate's own search finds no slice that loses.
    """

    stops: float
    stops_fraud: float
    lets: float
    lets_fraud: float
    cap: float
    friction: float

    @property
    def gain(self) -> float:
        """What the candidate earns over the champion, in expectation, by payment."""
        stopped, let = (fraud - (1 - fraud) * self.friction for fraud in (self.stops_fraud, self.lets_fraud))
        return (self.stops * stopped - self.lets * let) * mean_amount(self.cap)

    def task(self, explore: float = 0.0) -> Task:
        """What a team would declare for it; explore: with a share, blocking hides the outcome."""
        stands_for = 1 / explore if explore else 1.0
        return Task(
            name="payments",
            signature=Signature(
                (
                    Field("amount", lower=0, upper=self.cap, unit="USD"),
                    Field("card", Kind.TEXT),
                    Field("country", Kind.TEXT),
                )
            ),
            candidates={"line": Candidate(LogisticRegression, Transform((Columns(("amount",)),)))},
            champion="line",
            costs=CostTable(
                act_positive=Amount(),
                act_negative=Amount(per={"amount": -self.friction}),
                pass_positive=Amount(per={"amount": -1}),
                pass_negative=Amount(),
                currency="USD",
                version="1",
            ),
            decision=ExpectedUtility(),
            maturity=MATURITY,
            policy=Policy(
                deadline_days=JUDGED_DAYS,
                latency_budget_us=300,
                latency_block=5,  # CPU times are drawn one by one
                largest_unit_loss=MOST_A_DAY * self.cap * stands_for,
            ),
            holdout=timedelta(days=1),
            entity="card",
            hidden_by="act" if explore else None,
            explore=explore,
        )


@dataclass(frozen=True, eq=False)
class Payments:
    """A stream of payments in the order of their events.

    All arrays are of n rows. day: int64, since the first. champion, candidate: bool, whether they block.
    known_ns: int64, how long after its event the outcome is reported; never where `heard` is False.
    """

    world: World
    ids: Sequence[str]
    day: NDArray[np.int64]
    event_ns: NDArray[np.int64]
    card: NDArray[np.object_]
    country: NDArray[np.object_]
    amount: NDArray[np.float32]
    champion: NDArray[np.bool_]
    candidate: NDArray[np.bool_]
    fraud: NDArray[np.bool_]
    known_ns: NDArray[np.int64]
    heard: NDArray[np.bool_]
    shed: NDArray[np.bool_]
    cpu_ns: NDArray[np.int64]

    def gain(self) -> NDArray[np.float64]:
        """What the candidate earns over the champion on each row, as only who draws the stream can know."""
        blocking = np.where(self.fraud, 1.0, -self.world.friction) * self.amount
        return np.asarray((self.candidate.astype(np.int64) - self.champion) * blocking)


def draw(rng: Generator, world: World, name: str, days: int = DAYS) -> Payments:
    """One stream. name: begins the ids of its rows."""
    units = days * CARDS_A_DAY
    size = np.where(rng.random(units) < TWICE, MOST_A_DAY, 1)
    kind = rng.random(units)
    stops, lets = kind < world.stops, (kind >= world.stops) & (kind < world.stops + world.lets)
    share = np.where(stops, world.stops_fraud, np.where(lets, world.lets_fraud, _OTHER_FRAUD))
    fraud = rng.random(units) < share
    known_ns = np.where(fraud, rng.random(units) * nanoseconds(MATURITY), nanoseconds(MATURITY))
    card = np.concatenate([rng.choice(_CARDS, CARDS_A_DAY, replace=False) for _ in range(days)])
    unit = np.repeat(np.arange(units), size)
    rows = len(unit)
    event_ns = START_NS + unit // CARDS_A_DAY * DAY_NS + rng.integers(0, DAY_NS, rows)
    order = np.argsort(event_ns, kind="stable")
    unit, event_ns = unit[order], event_ns[order]
    cards = np.array([f"card-{number}" for number in range(_CARDS)], object)
    countries = np.array([f"C{number}" for number in range(_COUNTRIES)], object)
    return Payments(
        world=world,
        ids=[f"{name}-{row}" for row in range(rows)],
        day=(event_ns - START_NS) // DAY_NS,
        event_ns=event_ns,
        card=cards[card[unit]],
        country=countries[rng.integers(0, _COUNTRIES, rows)],
        amount=amounts(rng, (rows,), world.cap).astype(np.float32),
        champion=lets[unit],
        candidate=stops[unit],
        fraud=fraud[unit],
        known_ns=known_ns[unit].astype(np.int64),
        heard=rng.random(rows) >= _NEVER_HEARD,
        shed=rng.random(rows) < _SHED,
        cpu_ns=rng.integers(20_000, 80_000, (2, rows)),
    )
