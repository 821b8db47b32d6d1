"""Decision rules: chosen on labelled rows, and written into a graph so that everybody decides alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.session import DECISION, SCORE
from trainer.utility import number_column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.signature import Blocks, Signature
    from trainer.graph import Graph
    from trainer.utility import Amount, CostTable

NEVER = float(np.nextafter(np.float32(1), np.float32(2)))
"""A threshold that no probability reaches."""


@dataclass(frozen=True)
class ScoreThreshold:
    """Act when the score is at least `value`."""

    value: float

    def write(self, graph: Graph, score: str, _: str) -> None:
        """Append the nodes from `score`, float32 [rows, 1], to "score" and "decision"."""
        write_flat(graph, score, SCORE)
        graph.add("GreaterOrEqual", SCORE, graph.constant(np.array(self.value, np.float32)), output=DECISION)

    def to_json(self) -> dict[str, Any]:
        """What the manifest says."""
        return {"rule": "threshold", "threshold": self.value}


@dataclass(frozen=True)
class UtilityRule:
    """Act when p * gain + (1 - p) * loss > 0, with p the score.

    gain and loss are what acting earns over passing for a positive and for a negative label, computed from
    the record in float32.
    """

    signature: Signature
    costs: CostTable

    def write(self, graph: Graph, score: str, numbers: str) -> None:
        """Append the nodes from `score`, float32 [rows, 1], and `numbers` to "score" and "decision"."""
        costs = self.costs
        gain = _Linear.of(costs.act_positive, costs.pass_positive)
        loss = _Linear.of(costs.act_negative, costs.pass_negative)
        # p * gain + (1 - p) * loss > 0, with fewer nodes: p * (gain - loss) > -loss.
        swing, price = gain.minus(loss), _Linear({}, 0.0).minus(loss)
        terms = sorted(swing.terms.keys() | price.terms.keys())
        stake = _write_stake(graph, self.signature, terms, numbers) if terms else ""
        left = graph.add("Mul", score, swing.write(graph, terms, stake))
        write_flat(graph, score, SCORE)
        write_flat(graph, graph.add("Greater", left, price.write(graph, terms, stake)), DECISION)

    def to_json(self) -> dict[str, Any]:
        """What the manifest says."""
        return {"rule": "expected_utility"}


_Term = tuple[str, float]
"""A field, and what it counts as when missing; one field may count differently in different amounts."""


@dataclass(frozen=True)
class _Linear:
    terms: dict[_Term, float]
    constant: float

    @classmethod
    def of(cls, act: Amount, skip: Amount) -> _Linear:
        return cls._from(act).minus(cls._from(skip))

    @classmethod
    def _from(cls, amount: Amount) -> _Linear:
        # A field that is never missing has no such value; 0 stands in for it and is never used.
        terms = {(name, amount.missing.get(name, 0.0)): weight for name, weight in amount.per.items()}
        return cls(terms, amount.constant)

    def minus(self, other: _Linear) -> _Linear:
        names = self.terms.keys() | other.terms.keys()
        terms = {name: self.terms.get(name, 0.0) - other.terms.get(name, 0.0) for name in names}
        return _Linear(
            {name: weight for name, weight in terms.items() if weight}, self.constant - other.constant
        )

    def write(self, graph: Graph, terms: list[_Term], stake: str) -> str:
        constant = graph.constant(np.array([self.constant], np.float32))
        if not self.terms:
            return constant
        weights = np.array([[self.terms.get(term, 0.0)] for term in terms], np.float32)
        return graph.add("Gemm", stake, graph.constant(weights), constant)


def _write_stake(graph: Graph, signature: Signature, terms: list[_Term], numbers: str) -> str:
    columns = np.array([number_column(signature, name) for name, _ in terms], np.int64)
    stake = graph.add("Gather", numbers, graph.constant(columns), axis=1)
    if not any(signature.by_name[name].missing_allowed for name, _ in terms):
        return stake
    filling = graph.constant(np.array([value for _, value in terms], np.float32))
    return graph.add("Where", graph.add("IsNaN", stake), filling, stake)


def write_flat(graph: Graph, tensor: str, output: str) -> None:
    """Append what makes one column of `tensor` the graph's output of that name, [rows]."""
    graph.add("Reshape", tensor, graph.constant(np.array([-1], np.int64)), output=output)


def choose_threshold(
    signature: Signature,
    costs: CostTable,
    blocks: Blocks,
    label: NDArray[np.float64],
    score: NDArray[np.float32],
    *,
    weight: NDArray[np.float64],
) -> ScoreThreshold:
    """Choose the threshold that earns most on these rows, which the model was not fitted on.

    weight: float64 [n], how many rows each stands for.
    Tried are the midpoints between neighbouring distinct scores, acting on every row (0) and on none
    (`NEVER`). Of equals the highest is taken, which acts least.
    """
    if_positive, if_negative = costs.stakes(signature, blocks)
    gain = weight * np.where(label == 1, if_positive, if_negative)
    order = np.argsort(-score, kind="stable")
    falling = score[order]
    last = np.append(falling[:-1] != falling[1:], True)  # the last row of each distinct score
    earned = np.concatenate([[0.0], np.cumsum(gain[order])[last]])
    best = int(np.argmax(earned))
    levels = falling[last]
    if best == 0:
        return ScoreThreshold(NEVER)
    if best == len(levels):
        return ScoreThreshold(0.0)
    above, below = levels[best - 1], levels[best]
    middle = np.float32((np.float64(above) + np.float64(below)) / 2)
    return ScoreThreshold(float(middle if middle > below else above))
