"""What is known of outcomes that an action hides: how many, and what was explored to see some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sidecar.exploration import is_explored
from trainer.interval import PER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.join import CandidateRows, JoinedRows
    from trainer.task import Task


def is_hidden(
    decision: NDArray[np.bool_], propensity: NDArray[np.float32], hidden_by: str | None
) -> NDArray[np.bool_]:
    """Whether each reply hid its outcome. bool [n]; none did where no action hides it."""
    taken = decision != is_explored(propensity)
    return np.zeros(len(taken), np.bool_) if hidden_by is None else taken == (hidden_by == "act")


def stands_for(propensity: NDArray[np.float32], hidden: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How many rows each stands for, where some hide their outcome. float64 [n].

    Such a row for none, another for 1 / its propensity (D. G. Horvitz and D. J. Thompson, "A generalization
    of sampling without replacement from a finite universe", JASA 1952), so that sums over the latter are
    right in expectation for all. The shortest decimal of a float32 is the share that was declared: with its
    inverse the declared bounds hold exactly.

    >>> stands_for(np.array([1, 0.02, 0.98], np.float32), np.array([False, False, True])).tolist()
    [1.0, 50.0, 0.0]
    """
    distinct, which = np.unique(propensity, return_inverse=True)
    share = np.array([float(str(one)) for one in distinct], np.float64)
    return np.where(hidden, 0.0, (1 / share)[which])


@dataclass(frozen=True)
class HiddenOutcomes:
    """Judged rows by what their reply did to the outcome.

    by: the action that hides it. hidden: rows whose reply took that action; of these without_chance could not
    have been explored, and on changed the candidate decided differently. explored: rows whose rule decided
    that action and whose reply took the other; explored_labelled: of these, those with a label. heaviest: the
    most rows that one with a label stands for. cost_per_1000: money per 1,000 judged decisions that the
    explored rows earned less than the rule's own action would have.
    """

    by: str
    hidden: int
    without_chance: int
    changed: int
    explored: int
    explored_labelled: int
    heaviest: float
    cost_per_1000: float


def count_hidden(
    task: Task, served: JoinedRows, scored: CandidateRows, judged: NDArray[np.int64]
) -> HiddenOutcomes | None:
    """Count the judged of the served rows, and what a candidate made of them.

    None where no action hides the outcome.
    """
    if task.hidden_by is None:
        return None
    explored = judged[(is_explored(served.propensity) & ~served.hidden)[judged]]
    hidden, labelled = judged[served.hidden[judged]], judged[served.labelled[judged]]
    differs = scored.valued[hidden] & (scored.decision != served.decision)[hidden]
    seen = served.take(explored[served.labelled[explored]])
    return HiddenOutcomes(
        by=task.hidden_by,
        hidden=len(hidden),
        without_chance=int(np.count_nonzero(served.propensity[hidden] == 1)),
        changed=int(np.count_nonzero(differs)),
        explored=len(explored),
        explored_labelled=len(seen),
        heaviest=float(served.weight[labelled].max(initial=0.0)),
        cost_per_1000=PER * _cost(task, seen) / max(len(judged), 1),
    )


def _cost(task: Task, explored: JoinedRows) -> float:
    """What these rows earned less than their rule's own action would have."""

    def earned(decision: NDArray[np.bool_]) -> float:
        return float(task.costs.utility(task.signature, explored.blocks, decision, explored.label).sum())

    return earned(explored.decision) - earned(~explored.decision)
