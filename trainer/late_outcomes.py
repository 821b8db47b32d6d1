"""Whether outcomes are known by the maturity that the task declares.

Who declares too short a one judges rows before their bad outcomes are heard of: a payment that counts as good
after a week, though fraud is reported for a month. Later days would correct it, but a promotion does not wait
for them. The log shows it: the outcomes that did come, came late.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import bdtrc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.join import JoinedRows

BY_CHANCE = 0.01
"""How likely so many late ones are, where no more than the allowed share is late, before it is said."""


@dataclass(frozen=True, slots=True)
class LateOutcomes:
    """Judged rows with each outcome, and how many of them were observed later than their maturity."""

    positive: int
    late_positive: int
    negative: int
    late_negative: int


def count_late(rows: JoinedRows, judged: NDArray[np.int64], maturity_ns: int) -> LateOutcomes:
    """Count the labelled ones of the judged rows, by the outcome that is known now."""
    labelled = judged[rows.labelled[judged]]
    positive = rows.label[labelled] == 1
    late = rows.observed_ns[labelled] > rows.event_ns[labelled] + maturity_ns
    return LateOutcomes(
        positive=int(np.count_nonzero(positive)),
        late_positive=int(np.count_nonzero(positive & late)),
        negative=int(np.count_nonzero(~positive)),
        late_negative=int(np.count_nonzero(~positive & late)),
    )


def too_many(late: int, of: int, allowed: float) -> bool:
    """Whether more than the allowed share (0 to 1) of them is late, beyond what may be chance."""
    return late > 0 and float(bdtrc(late - 1, of, allowed)) < BY_CHANCE
