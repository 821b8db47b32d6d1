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


@dataclass(frozen=True)
class HiddenOutcomes:
    """Judged rows by what their reply did to the outcome.

    by: the action that hides it. hidden: rows whose reply took that action; without_chance: of these, those
    that could not have been explored; changed: of these, those that the candidate decided differently.
    explored: rows whose rule decided that action and whose reply took the other; explored_labelled: of these,
    those with a label. heaviest: the most rows that one with a label stands for. cost_per_1000: money per
    1,000 judged decisions that the explored rows earned less than the rule's own action would have.
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
