"""Payments whose fraud is hidden where the champion blocks: drawn and weighed by the gate's own functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gate.procedures import passed, passed_at, rows_until
from benchmarks.gate.streams import amounts
from sidecar.exploration import Exploration, is_explored
from sidecar.signature import Blocks, Field, Signature
from trainer.hidden_outcomes import stands_for
from trainer.interval import PER
from trainer.units import pair
from trainer.utility import Amount, CostTable

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

SEED = 20_130_601
SHARES = (0.02, 0.05, 0.1, 0.2)
CAP, FRICTION = 500.0, 25.0
"""What one fraud costs at most, and what it costs to block a good payment."""
SIGNATURE = Signature((Field("amount", lower=0, upper=CAP, unit="USD"),))
COSTS = CostTable(
    act_positive=Amount(),
    act_negative=Amount(-FRICTION),
    pass_positive=Amount(per={"amount": -1}),
    pass_negative=Amount(),
    currency="USD",
    version="1",
)


@dataclass(frozen=True)
class World:
    """What matters of a stream of `rows` payments: those on which champion and candidate may differ.

    passed: share of rows that the champion lets through and the candidate blocks; blocked: share that the
    champion blocks. passed_fraud, blocked_fraud: how much of each is fraud. let_good, let_fraud: of the good
    and of the fraud among the blocked, how much the candidate lets through.
    """

    rows: int
    passed: float
    passed_fraud: float
    blocked: float
    blocked_fraud: float
    let_good: float
    let_fraud: float


NULL = World(40_000, passed=0.05, passed_fraud=0.3, blocked=0.05, blocked_fraud=0.3, let_good=1, let_fraud=1)
"""What the candidate wins on payments that the champion lets through, it loses on those that are hidden."""
BETTER = World(
    2_000_000, passed=0, passed_fraud=0, blocked=0.02, blocked_fraud=0.4, let_good=0.5, let_fraud=0.02
)
"""The candidate lets half of the good payments through that the champion blocks, and few of the frauds."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Its rows that matter, in order. place: int64 [n], which of all rows each is."""

    place: NDArray[np.int64]
    blocks: Blocks
    champion: NDArray[np.bool_]
    candidate: NDArray[np.bool_]
    fraud: NDArray[np.bool_]

    def gains(self, share: float, number: int) -> NDArray[np.float64]:
        """What the gate bets on, row by row: gains over their bound, explored at this share."""
        exploration = Exploration("act", share)
        ids = [f"{number}-{place}" for place in self.place.tolist()]
        propensity = exploration.propensity(ids, self.champion)
        hidden = self.champion & ~is_explored(propensity)
        return self._paired(stands_for(propensity, hidden)) / (COSTS.row_bound(SIGNATURE) / share)

    def seen_all(self) -> NDArray[np.float64]:
        """The same if nothing were hidden."""
        return self._paired(np.ones(len(self.place))) / COSTS.row_bound(SIGNATURE)

    def seen_alone(self) -> NDArray[np.float64]:
        """The same of rows with an outcome alone, where nothing is explored: a usual mistake."""
        return self.seen_all()[~self.champion]

    def cost_of(self, share: float) -> float:
        """What exploring at this share is expected to cost on this stream."""
        shown, kept = (
            COSTS.utility(SIGNATURE, self.blocks, decision, self.fraud.astype(np.float64))
            for decision in (~self.champion, self.champion)
        )
        return share * float((kept - shown)[self.champion].sum())

    def _paired(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        nothing = np.zeros(len(self.place), np.int64)
        return pair(
            COSTS,
            SIGNATURE,
            self.blocks,
            self.fraud.astype(np.float64),
            decisions=(self.champion, self.candidate),
            cpu_ns=(nothing, nothing),
            weight=weight,
        ).gain


def draw(rng: Generator, world: World) -> Stream:
    """One stream."""
    kind = rng.random(world.rows)
    blocked = (kind >= world.passed) & (kind < world.passed + world.blocked)
    place = np.flatnonzero(kind < world.passed + world.blocked)
    champion = blocked[place]
    fraud = rng.random(len(place)) < np.where(champion, world.blocked_fraud, world.passed_fraud)
    let = rng.random(len(place)) < np.where(fraud, world.let_fraud, world.let_good)
    value = np.minimum(amounts(rng, (len(place),)), CAP).astype(np.float32)
    nothing = np.empty((len(place), 0))
    blocks = Blocks(value[:, None], nothing.astype(np.int64), nothing.astype(object))
    return Stream(place, blocks, champion, ~champion | ~let, fraud)


def false_promotions(streams: int = 200, world: World = NULL) -> list[dict[str, Any]]:
    """Nothing is gained, looked at after every row, at each share; and by rows with an outcome alone."""
    ours, naive = dict.fromkeys(SHARES, 0), 0
    for number in range(streams):
        stream = draw(np.random.default_rng([SEED, number]), world)
        for share in SHARES:
            ours[share] += bool(passed(stream.gains(share, number)[None])[0])
        naive += bool(passed(stream.seen_alone()[None])[0])
    return [
        {"share": share, "streams": streams, "rows": world.rows, "gate": ours[share], "naive": naive}
        for share in SHARES
    ]


def until_promoted(streams: int = 100, world: World = BETTER) -> list[dict[str, Any]]:
    """Rows until a better candidate is promoted, and what exploring costs; at share 1 nothing is hidden."""
    when: dict[float, list[int]] = {share: [] for share in (*SHARES, 1.0)}
    cost = dict.fromkeys(when, 0.0)
    gained = 0.0
    for number in range(streams):
        stream = draw(np.random.default_rng([SEED, 1, number]), world)
        gained += float(stream.seen_all().sum()) * COSTS.row_bound(SIGNATURE)
        for share, found in when.items():
            gains = stream.seen_all() if share == 1 else stream.gains(share, number)
            at = int(passed_at(gains[None])[0])
            found.append(int(stream.place[at - 1]) + 1 if at <= len(gains) else world.rows + 1)
            cost[share] += 0.0 if share == 1 else stream.cost_of(share)
    return [
        {
            "share": share,
            "streams": streams,
            "rows": world.rows,
            "half": rows_until(np.array(found), 0.5),
            "most": rows_until(np.array(found), 0.8),
            "never": float((np.array(found) > world.rows).mean()),
            "cost_per_1000": PER * cost[share] / (streams * world.rows),
            "gain_per_1000": PER * gained / (streams * world.rows),
        }
        for share, found in when.items()
    ]
