"""Exploration: where the rule's action hides the outcome, a small share of the replies take the other one.

A blocked payment is never seen to be fraud. So the champion that blocks lets a few of them through, drawn by
a hash of the request's id, and with what chance is logged: each of these then stands for all that were
blocked alike, and a candidate that blocks less can be judged. `dataplane/src/exploration.rs` is the twin of
this module, to the bit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from sidecar.draw import is_drawn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

ACTIONS = ("pass", "act")
"""By decision: False is pass, True is act."""
MOST_SHARE = 0.5
"""A share stays below it, so that a propensity below it is an explored row's."""
_PURPOSE = b"explore\0"


@dataclass(frozen=True, slots=True)
class Exploration:
    """Which action hides the outcome, and how much of it is explored.

    instead_of: "act" or "pass". share: of the rows whose rule decides so, how many get the other action; 0
    explores nothing. Raises ValueError for any other action, and a share that is not below MOST_SHARE.
    """

    instead_of: str
    share: float

    def __post_init__(self) -> None:
        if self.instead_of not in ACTIONS:
            raise ValueError(f"instead_of is {self.instead_of!r}; give 'act' or 'pass'")
        share = self.share
        if not (isinstance(share, int | float) and 0 <= share < MOST_SHARE):
            raise ValueError(f"share is {share!r}; give at least 0 and less than {MOST_SHARE:g}")

    def propensity(self, request_ids: Sequence[str], decision: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Draw for each row; gives the chance that its reply takes the action it does. float32 [n].

        It is below MOST_SHARE where the reply takes the other action than the rule's: the row is explored.
        decision: bool [n], what the rule says. The same id is drawn alike on every machine and every time.

        >>> Exploration("act", 0.49).propensity(["a", "b", "c", "d"], np.array([True, True, False, True]))
        array([0.49, 0.51, 1.  , 0.49], dtype=float32)
        """
        found = np.empty(len(decision), np.float32)
        found.fill(1)  # a third of the time of np.ones, on the way of every request
        if self.share:
            for row in np.flatnonzero(decision == (self.instead_of == "act")).tolist():
                drawn = is_drawn(_PURPOSE, request_ids[row].encode(), self.share)
                found[row] = self.share if drawn else 1 - self.share
        return found

    def to_json(self) -> dict[str, Any]:
        """What the manifest says."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; raises TypeError or ValueError where it is none."""
        return cls(**data)


NO_EXPLORATION = Exploration("act", 0.0)
"""Every reply takes the rule's own action."""


def is_explored(propensity: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each reply takes the other action than its rule decided, so that its outcome is seen."""
    explored: NDArray[np.bool_] = propensity < MOST_SHARE
    return explored
