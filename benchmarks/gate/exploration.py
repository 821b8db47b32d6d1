"""Payments whose fraud is hidden where the champion blocks: what exploring costs, and how long it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gate.procedures import passed_at, rows_until
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
    """What matters of a stream of `rows` payments: those that the champion blocks.

    blocked: their share; fraud: how much of them is fraud. let_good, let_fraud: of the good ones and of the
    fraud, how much the candidate lets through.
    """

    rows: int
    blocked: float
    fraud: float
    let_good: float
    let_fraud: float


BETTER = World(2_000_000, blocked=0.02, fraud=0.4, let_good=0.5, let_fraud=0.02)
"""The candidate lets half of the good payments through that the champion blocks, and few of the frauds."""


@dataclass(frozen=True, eq=False)
class Stream:
    """The rows that the champion blocks, in order. place: int64 [n], which of all rows each is."""

    place: NDArray[np.int64]
    blocks: Blocks
    candidate: NDArray[np.bool_]
    fraud: NDArray[np.bool_]

    def gains(self, share: float, number: int) -> NDArray[np.float64]:
        """What the gate bets on, row by row: gains over their bound, explored at this share."""
        exploration = Exploration("act", share)
        ids = [f"{number}-{place}" for place in self.place.tolist()]
        propensity = exploration.propensity(ids, self._champion)
        return self._paired(stands_for(propensity, ~is_explored(propensity))) / (
            COSTS.row_bound(SIGNATURE) / share
        )

    def seen_all(self) -> NDArray[np.float64]:
        """The same if nothing were hidden."""
        return self._paired(np.ones(len(self.place))) / COSTS.row_bound(SIGNATURE)

    def cost_of(self, share: float) -> float:
        """What exploring at this share is expected to cost on this stream."""
        shown, kept = (
            COSTS.utility(SIGNATURE, self.blocks, decision, self.fraud.astype(np.float64))
            for decision in (~self._champion, self._champion)
        )
        return share * float((kept - shown).sum())

    @property
    def _champion(self) -> NDArray[np.bool_]:
        return np.ones(len(self.place), np.bool_)

    def _paired(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        nothing = np.zeros(len(self.place), np.int64)
        return pair(
            COSTS,
            SIGNATURE,
            self.blocks,
            self.fraud.astype(np.float64),
            decisions=(self._champion, self.candidate),
            cpu_ns=(nothing, nothing),
            weight=weight,
        ).gain


def draw(rng: Generator, world: World) -> Stream:
    """One stream."""
    place = np.flatnonzero(rng.random(world.rows) < world.blocked)
    fraud = rng.random(len(place)) < world.fraud
    let = rng.random(len(place)) < np.where(fraud, world.let_fraud, world.let_good)
    value = amounts(rng, (len(place),), CAP).astype(np.float32)
    nothing = np.empty((len(place), 0))
    blocks = Blocks(value[:, None], nothing.astype(np.int64), nothing.astype(object))
    return Stream(place, blocks, ~let, fraud)


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
