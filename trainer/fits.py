"""Which fit of a recipe each row is of, where fits took each other's place in the shadow.

A row is of the fit in whose stint it was received. So no row's fit, nor whether the row counts, can be chosen
after its outcome is seen, by the moment at which a recipe is fitted anew or by a row that comes later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.days import DAY_NS, day_start
from trainer.join import read_candidate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sidecar.store.reader import LogReader
    from trainer.join import CandidateRows, JoinedRows
    from trainer.stints import Stint

NONE = -1


@dataclass(frozen=True, eq=False)
class Fits:
    """A recipe's fits on a champion's rows.

    stints: oldest first. of: int64 [n], the number of the stint that each row is of, NONE for no stint.
    scored: what that fit made of it. first_scored_ns: see `Evidence`. since_ns: the first day that counts;
    own_since_ns: the first one that is the last fit's alone.
    """

    stints: tuple[Stint, ...]
    of: NDArray[np.int64]
    scored: CandidateRows
    first_scored_ns: int | None
    since_ns: int
    own_since_ns: int

    @property
    def last(self) -> int:
        """The number of the last stint."""
        return len(self.stints) - 1


def find_fits(
    reader: LogReader, champion: str, served: JoinedRows, stints: Sequence[Stint], ended_ns: int
) -> Fits:
    """Say which of `served` (rows of `champion`, a digest) is of which stint. ended_ns: no later day counts.

    The first fit counts from the first whole day of its shadow on which every row is later than what it was
    fitted on; a later one from its first row on that is.
    """
    event_ns = served.event_ns
    parts = [read_candidate(reader, one.model.digest, champion, served) for one in stints]
    firsts = [_first_scored(served, scored, one) for one, scored in zip(stints, parts, strict=True)]
    # Who was gone before any row was offered to it has no part in the account.
    begun = next((number for number, first in enumerate(firsts) if first is not None), len(stints) - 1)
    stints, parts, firsts = stints[begun:], parts[begun:], firsts[begun:]
    since_ns = ended_ns if firsts[0] is None else _first_whole_day(reader, served, firsts[0])
    since_ns = min(max(since_ns, _after_known(stints[0])), ended_ns)
    of = np.full(len(event_ns), NONE)
    of[_received_in(served, stints[0]) & (event_ns >= since_ns)] = 0
    scored, own_since_ns = parts[0], since_ns
    for number, one in enumerate(stints[1:], 1):
        inside = _received_in(served, one) & (event_ns >= since_ns)
        if one.trained_until_ns is not None:
            # Rows sent a second time, or with an old date, may be rows that it knows by heart.
            inside &= event_ns > one.trained_until_ns
        of[inside] = number
        scored = scored.replaced(np.flatnonzero(inside), parts[number])
        before = event_ns[served.received_ns < one.received_since_ns]
        next_day_ns = day_start(int(before.max())) + DAY_NS if len(before) else since_ns
        own_since_ns = min(max(since_ns, next_day_ns, _after_known(one)), ended_ns)
    first_scored_ns = None if firsts[-1] is None else int(event_ns[firsts[-1]])
    return Fits(tuple(stints), of, scored, first_scored_ns, since_ns, own_since_ns)


def _first_scored(served: JoinedRows, scored: CandidateRows, stint: Stint) -> int | None:
    """Which row with a Score was received first; None without any."""
    rows = np.flatnonzero(scored.entered & _received_in(served, stint))
    return int(rows[np.argmin(served.received_ns[rows])]) if len(rows) else None


def _received_in(served: JoinedRows, stint: Stint) -> NDArray[np.bool_]:
    received_ns, until_ns = served.received_ns, stint.received_until_ns
    inside = received_ns >= stint.received_since_ns
    return inside if until_ns is None else inside & (received_ns < until_ns)


def _after_known(stint: Stint) -> int:
    """The first day on which every row is later than what the fit knows."""
    return 0 if stint.trained_until_ns is None else day_start(stint.trained_until_ns) + DAY_NS


def _first_whole_day(reader: LogReader, served: JoinedRows, first_scored: int) -> int:
    """Find the start of the first day of which nothing was served before the row that was scored first.

    By arrival: a row with an old date that comes later must not move what has been counted.
    """
    event_ns, received_ns = int(served.event_ns[first_scored]), served.received_ns[first_scored]
    start_ns = day_start(event_ns)
    parts = reader.served_parts(("received_ns",), since_ns=start_ns, until_ns=event_ns)
    earlier = any((part.columns["received_ns"] < received_ns).any() for part in parts)
    return start_ns + DAY_NS if earlier else start_ns
