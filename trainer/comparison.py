"""What another model made of a champion's rows: joined, priced and summed into units of evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.days import DAY_NS, day_start, iso_day, nanoseconds
from trainer.evidence import FAILURE_KINDS, Accounting, Query, Stakes
from trainer.interval import Day
from trainer.join import clock_ns, read_candidate, read_rows
from trainer.units import Pairs, Units, day_spread, pair, sum_units

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.domain import ModelId
    from sidecar.store.reader import LogReader
    from trainer.join import CandidateRows, JoinedRows
    from trainer.stints import Stint
    from trainer.task import Task


@dataclass(frozen=True)
class Turn:
    """The whole days, [since_ns, until_ns) of event time, on which one fit of a recipe is compared."""

    stint: Stint
    since_ns: int
    until_ns: int


@dataclass(frozen=True, eq=False)
class Comparison:
    """Champion and another on the champion's rows; row numbers are of `served`.

    first_scored_ns: see `Evidence`. shadowed: rows of whole days of the other's that had ended. turns: which
    fit of its recipe stood there when, the other's own turn the last; scored is what each made of the rows of
    its turn. judged: rows of all turns on days that had matured entirely. unmatured: how many of the shadowed
    rows are not among them. rows, answers, pairs: judged ones with a value of the other, and with a
    label or a hidden outcome; a row whose outcome is hidden is not one that lacks it: explored rows stand for
    it. weight: of each of those, float64 [n], or 1 where nothing hides outcomes.
    """

    served: JoinedRows
    scored: CandidateRows
    first_scored_ns: int | None
    turns: tuple[Turn, ...]
    shadowed: NDArray[np.int64]
    judged: NDArray[np.int64]
    unmatured: int
    rows: JoinedRows
    answers: CandidateRows
    pairs: Pairs
    weight: NDArray[np.float64] | float
    shadowed_account: Accounting
    judged_account: Accounting

    def units(self, task: Task, wanted: float) -> Units:
        """The joined rows summed into units; wanted: as in `sum_units`."""
        return sum_units(
            task.signature,
            self.rows.blocks,
            self.rows.event_ns,
            self.pairs,
            entity=task.entity,
            wanted=wanted,
        )


@dataclass(frozen=True, eq=False)
class Reign:
    """What a champion served, as known at one moment; the rows before `matured_ns` have matured.

    dropped_until_ns: of rows that the log wrote up to then some are gone; None where none is.
    """

    task: Task
    champion: ModelId
    query: Query
    served: JoinedRows
    matured_ns: int
    dropped_until_ns: int | None

    @classmethod
    def at(
        cls,
        task: Task,
        reader: LogReader,
        champion: ModelId,
        as_of_ns: int | None,
        *,
        whole: bool = False,
    ) -> Reign:
        """As known at `as_of_ns`, the log's clock if not given.

        whole: read all that it served, and not only what the time of one fit can need.
        Raises NotFoundError when nothing has been served.
        """
        query = Query(
            as_of_ns=clock_ns(reader) if as_of_ns is None else as_of_ns,
            maturity_ns=nanoseconds(task.maturity),
            policy_digest=task.policy.digest,
        )
        # Every row of the days before this moment has matured: the last of them ended `maturity` ago.
        matured_ns = day_start(query.as_of_ns + 1 - query.maturity_ns)
        served = read_rows(
            reader,
            task.signature,
            task.maturity,
            as_of_ns=query.as_of_ns,
            # A fit that began earlier is past its deadline, whatever the older rows say.
            since_ns=None if whole else matured_ns - 2 * task.policy.deadline_days * DAY_NS,
            champion=champion.digest,
            hidden_by=task.hidden_by,
        )
        return cls(task, champion, query, served, matured_ns, reader.dropped_until_ns())

    def lacks_rows_since(self, received_ns: int) -> bool:
        """Whether rows that were received from then on may be gone from the log."""
        return self.dropped_until_ns is not None and self.dropped_until_ns >= received_ns

    def compare(self, reader: LogReader, *stints: Stint) -> Comparison:
        """Join what another model made of the champion's rows, and price it.

        stints: its own, the last, after those of earlier fits of its recipe, oldest first. Each fit is judged
        on the whole days of its own stint; a day on which one took the other's place is nobody's.
        """
        task, served = self.task, self.served
        *before, own = stints
        scored, own_turn, first_scored_ns = self._turn(reader, own, self._ended_ns)
        turns = [own_turn]
        for stint in reversed(before):
            theirs, turn, _ = self._turn(reader, stint, min(turns[0].since_ns, self._end_of(stint)))
            scored = scored.replaced(self._rows_of(turn, turn.until_ns), theirs)
            turns.insert(0, turn)
        shadowed = self._rows_of(own_turn, self._ended_ns)
        judged = np.concatenate([self._rows_of(turn, self.matured_ns) for turn in turns])
        begin_ns = turns[0].since_ns
        accounted = judged[(served.labelled | served.hidden)[judged]]
        paired = accounted[scored.valued[accounted]]
        rows, answers = served.take(paired), scored.take(paired)
        weight = rows.weight if task.hidden_by else 1.0
        pairs = pair(
            task.costs,
            task.signature,
            rows.blocks,
            rows.label,
            decisions=(rows.decision, answers.decision),
            cpu_ns=(rows.cpu_ns, answers.cpu_ns),
            weight=weight,
        )
        return Comparison(
            served=served,
            scored=scored,
            first_scored_ns=first_scored_ns,
            turns=tuple(turns),
            shadowed=shadowed,
            judged=judged,
            unmatured=int(np.count_nonzero(served.event_ns[shadowed] >= self.matured_ns)),
            rows=rows,
            answers=answers,
            pairs=pairs,
            weight=weight,
            shadowed_account=_account(scored.take(shadowed), own_turn.since_ns, self._ended_ns),
            judged_account=_account(scored.take(judged), begin_ns, self.matured_ns),
        )

    @property
    def _ended_ns(self) -> int:
        """All days before it had ended."""
        return day_start(self.query.as_of_ns + 1)

    def _turn(self, reader: LogReader, stint: Stint, until_ns: int) -> tuple[CandidateRows, Turn, int | None]:
        """What a fit made of the rows, its turn until `until_ns` at most, and its first scored event."""
        scored = read_candidate(reader, stint.model.digest, self.champion.digest, self.served)
        entered = self.served.event_ns[scored.entered & self._received_in(stint)]
        first_scored_ns = int(entered[0]) if len(entered) else None
        begin_ns = self._ended_ns if first_scored_ns is None else _first_whole_day(reader, first_scored_ns)
        if stint.trained_until_ns is not None:
            # Rows sent a second time, or with an old date, may be rows that it knows by heart.
            begin_ns = max(begin_ns, day_start(stint.trained_until_ns) + DAY_NS)
        return scored, Turn(stint, min(begin_ns, until_ns), until_ns), first_scored_ns

    def _end_of(self, stint: Stint) -> int:
        """The day on which the first row was received that is no longer of the stint."""
        later = np.flatnonzero(self.served.received_ns >= (stint.received_until_ns or 0))
        if not len(later):
            return self._ended_ns
        first = later[np.argmin(self.served.received_ns[later])]
        return day_start(int(self.served.event_ns[first]))

    def _rows_of(self, turn: Turn, until_ns: int) -> NDArray[np.int64]:
        rows = _between(self.served.event_ns, turn.since_ns, min(turn.until_ns, until_ns))
        return rows[self._received_in(turn.stint)[rows]]

    def _received_in(self, stint: Stint) -> NDArray[np.bool_]:
        received_ns, until_ns = self.served.received_ns, stint.received_until_ns
        inside = received_ns >= stint.received_since_ns
        return inside if until_ns is None else inside & (received_ns < until_ns)


def _first_whole_day(reader: LogReader, first_scored_ns: int) -> int:
    """Find the start of the first day on which nothing was served before the shadow's first Score."""
    start_ns = day_start(first_scored_ns)
    parts = reader.served_parts(("event_ns",), since_ns=start_ns, until_ns=first_scored_ns)
    earlier = next(parts, None) is not None
    return start_ns + DAY_NS if earlier else start_ns


def _between(event_ns: NDArray[np.int64], since_ns: int, until_ns: int) -> NDArray[np.int64]:
    return np.flatnonzero((event_ns >= since_ns) & (event_ns < until_ns))


def _account(scored: CandidateRows, since_ns: int, until_ns: int) -> Accounting:
    return Accounting(
        since_ns=since_ns,
        until_ns=max(since_ns, until_ns),
        served=len(scored.failure),
        valued=int(np.count_nonzero(scored.valued)),
        failures={kind: int(np.count_nonzero(scored.failure == kind)) for kind in FAILURE_KINDS},
    )


def stakes_of(task: Task, row_risk: NDArray[np.float64], units: Units, judged: Accounting) -> Stakes:
    """What the units could lose, and lost, beside what was declared.

    row_risk: float64 [n], the most that each row by itself could have lost.
    """
    policy, row_bound = task.policy, task.costs.row_bound(task.signature)
    first_day = judged.since_ns // DAY_NS
    return Stakes(
        entity=task.entity or "",
        row_bound=row_bound,
        unit_bound=policy.largest_unit_loss,
        row_most=float(row_risk.max(initial=0.0)),
        rows_beyond=int(np.count_nonzero(row_risk > row_bound)),
        unit_most=float(units.risk.max(initial=0.0)),
        units_beyond=int(np.count_nonzero(units.risk > policy.largest_unit_loss)),
        unit_worst=float(units.gain.min(initial=0.0)),
        spread=day_spread(units, policy.cycle_days, first_day, judged.days) if task.entity else None,
    )


def stretches_of(units: Units, judged: Accounting, days: int, most: int) -> tuple[list[int], list[int]]:
    """The first whole stretches of so many judged days, at most `most` of them.

    Gives the day after each, since the epoch, and how many units there are before that.
    """
    first_day = judged.since_ns // DAY_NS
    after = [first_day + number * days for number in range(1, min(judged.days // days, most) + 1)]
    return after, np.searchsorted(units.day, after).tolist()


def days_of(event_ns: NDArray[np.int64], pairs: Pairs) -> tuple[Day, ...]:
    """Sum rows, ordered by event_ns, over days."""
    if not len(event_ns):
        return ()
    starts, first = np.unique(event_ns // DAY_NS, return_index=True)
    ends = [*first[1:].tolist(), len(event_ns)]
    return tuple(
        Day(
            day=iso_day(start * DAY_NS),
            decisions=end - begin,
            changed=int(np.count_nonzero(pairs.changed[begin:end])),
            champion=float(pairs.champion[begin:end].sum()),
            candidate=float(pairs.candidate[begin:end].sum()),
            gain=float(pairs.gain[begin:end].sum()),
        )
        for start, begin, end in zip(starts.tolist(), first.tolist(), ends, strict=True)
    )
