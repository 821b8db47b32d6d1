"""What another model made of a champion's rows: joined, priced and summed into units of evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.days import DAY_NS, day_start, iso_day, nanoseconds
from trainer.evidence import FAILURE_KINDS, Accounting, Query, Stakes
from trainer.fits import NONE, find_fits
from trainer.interval import Day
from trainer.join import clock_ns, read_rows
from trainer.looks import counted_ns
from trainer.units import Pairs, Units, day_spread, pair, sum_units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sidecar.domain import ModelId
    from sidecar.registry import Look
    from sidecar.store.reader import LogReader
    from trainer.fits import Fits
    from trainer.join import CandidateRows, JoinedRows
    from trainer.stints import Stint
    from trainer.task import Task


@dataclass(frozen=True, eq=False)
class Comparison:
    """Champion and another on the champion's rows; row numbers are of `served`.

    fits: of the other's recipe, its own the last. shadowed: rows of its own whole days that had ended.
    judged: rows of all fits on days that had matured entirely. unmatured: how many of the shadowed rows are
    not among them. rows, answers, pairs: judged ones with a value of the other, and with a label or a hidden
    outcome; a row whose outcome is hidden is not one that lacks it: explored rows stand for it. counted_ns:
    int64 [n], of the day whose unit each is bet on with, see `trainer.looks`. fit: int64
    [n], the number of the fit that each of those is of. weight: of each, float64 [n], or 1 where nothing
    hides outcomes.
    """

    served: JoinedRows
    fits: Fits
    shadowed: NDArray[np.int64]
    judged: NDArray[np.int64]
    unmatured: int
    rows: JoinedRows
    answers: CandidateRows
    pairs: Pairs
    counted_ns: NDArray[np.int64]
    fit: NDArray[np.int64]
    weight: NDArray[np.float64] | float
    shadowed_account: Accounting
    judged_account: Accounting

    def units(self, task: Task, wanted: float) -> Units:
        """The joined rows summed into units; wanted: as in `sum_units`."""
        return sum_units(
            task.signature,
            self.rows.blocks,
            self.counted_ns,
            self.pairs,
            entity=task.entity,
            wanted=wanted,
        )


@dataclass(frozen=True, eq=False)
class Reign:
    """What a champion served, as known at one moment; the rows before `matured_ns` have matured.

    dropped_until_ns: of rows that the log wrote up to then some are gone; None where none is. looks: those
    before.
    """

    task: Task
    champion: ModelId
    query: Query
    served: JoinedRows
    matured_ns: int
    dropped_until_ns: int | None
    looks: Sequence[Look]

    @classmethod
    def at(
        cls,
        task: Task,
        reader: LogReader,
        champion: ModelId,
        as_of_ns: int | None,
        *,
        looks: Sequence[Look] = (),
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
        matured_ns = query.matured_start(query.as_of_ns + 1)
        served = read_rows(
            reader,
            task.signature,
            task.maturity,
            as_of_ns=query.as_of_ns,
            # What began earlier, a fit or a probation, is past its deadline, whatever the older rows say.
            since_ns=None if whole else matured_ns - 2 * task.policy.probation_deadline_days * DAY_NS,
            champion=champion.digest,
            hidden_by=task.hidden_by,
        )
        return cls(task, champion, query, served, matured_ns, reader.dropped_until_ns(), looks)

    def lacks_rows_since(self, received_ns: int) -> bool:
        """Whether rows that were received from then on may be gone from the log."""
        return self.dropped_until_ns is not None and self.dropped_until_ns >= received_ns

    def compare(self, reader: LogReader, *stints: Stint) -> Comparison:
        """Join what another model made of the champion's rows, and price it.

        stints: its own, the last, after those of earlier fits of its recipe, oldest first.
        """
        task, served = self.task, self.served
        ended_ns = day_start(self.query.as_of_ns + 1)
        fits = find_fits(reader, self.champion.digest, served, stints, ended_ns)
        scored, event_ns = fits.scored, served.event_ns
        own = (fits.of == fits.last) & (event_ns >= fits.own_since_ns)
        shadowed = np.flatnonzero(own & (event_ns < ended_ns))
        judged = np.flatnonzero((fits.of != NONE) & (event_ns < self.matured_ns))
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
            fits=fits,
            shadowed=shadowed,
            judged=judged,
            unmatured=int(np.count_nonzero(event_ns[shadowed] >= self.matured_ns)),
            rows=rows,
            answers=answers,
            pairs=pairs,
            counted_ns=counted_ns(
                self.looks,
                rows.event_ns,
                np.maximum(np.maximum(rows.written_ns, answers.written_ns), rows.recorded_ns),
                rows.observed_ns,
                self.query.matured_start,
            ),
            fit=fits.of[paired],
            weight=weight,
            shadowed_account=_account(scored.take(shadowed), fits.own_since_ns, ended_ns),
            judged_account=_account(scored.take(judged), fits.since_ns, self.matured_ns),
        )


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
