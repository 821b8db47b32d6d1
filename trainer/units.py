"""Units of evidence: what one entity's day, or one whole day, earned and could have lost.

Rows of one entity on one day are not independent: they share the card, the aircraft, the campaign. So a row
is no unit; an entity's day is, where the task names an entity. Where it names none, all rows of a day may
share the weather or the news, and whole days are the units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sidecar.signature import Kind
from trainer.days import DAY_NS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.signature import Blocks, Signature
    from trainer.utility import CostTable


@dataclass(frozen=True, eq=False)
class Pairs:
    """Champion and candidate on n rows, in money.

    champion, candidate: float64 [n], what each one's decision earned. gain: float64 [n], candidate's less
    champion's, less what its CPU time costs more; gains are cut at the table's largest loss. risk: float64
    [n], the most that the row could have lost against the champion, known before its outcome.
    changed: bool [n], the two decided differently.
    Where an action hides outcomes, money that depends on one counts for as many rows as the row stands for:
    for none where it is hidden, and there `changed` is False. What CPU time costs is known of every row.
    """

    champion: NDArray[np.float64]
    candidate: NDArray[np.float64]
    gain: NDArray[np.float64]
    risk: NDArray[np.float64]
    changed: NDArray[np.bool_]

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Pairs:
        """The rows that an index array or a mask selects."""
        return Pairs(
            self.champion[rows], self.candidate[rows], self.gain[rows], self.risk[rows], self.changed[rows]
        )


@dataclass(frozen=True, eq=False)
class Units:
    """Sums over units, ordered by day and entity.

    day: int64 [u], days since the epoch. gain, risk: float64 [u].
    """

    day: NDArray[np.int64]
    gain: NDArray[np.float64]
    risk: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.day)

    def since(self, day: int) -> Units:
        """Those from `day` on."""
        begin = int(np.searchsorted(self.day, day))
        return Units(self.day[begin:], self.gain[begin:], self.risk[begin:])

    def until(self, day: int) -> Units:
        """Those before `day`."""
        end = int(np.searchsorted(self.day, day))
        return Units(self.day[:end], self.gain[:end], self.risk[:end])


def pair(
    costs: CostTable,
    signature: Signature,
    blocks: Blocks,
    label: NDArray[np.float64],
    *,
    decisions: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    cpu_ns: tuple[NDArray[np.int64], NDArray[np.int64]],
    weight: NDArray[np.float64] | float = 1.0,
) -> Pairs:
    """Price n rows. decisions, cpu_ns: the champion's and the candidate's; label: 0 or 1.

    weight: how many rows each stands for, see `JoinedRows.weight`; the label of one that stands for none is
    not looked at.
    """
    champion, candidate = (
        weight * costs.utility(signature, blocks, decision, np.where(weight, label, 0.0))
        for decision in decisions
    )
    if_positive, if_negative = costs.stakes(signature, blocks)
    changed = (decisions[0] != decisions[1]) & np.not_equal(weight, 0)
    # Acting instead of passing gains the stakes, passing instead of acting loses them.
    sign = decisions[1].astype(np.float64) - decisions[0].astype(np.float64)
    price = costs.cpu_second * (cpu_ns[1] - cpu_ns[0]) / 1e9
    worst = weight * np.minimum(sign * if_positive, sign * if_negative) - price
    return Pairs(
        champion=champion,
        candidate=candidate,
        gain=np.minimum(candidate - champion - price, np.maximum(weight, 1.0) * costs.row_bound(signature)),
        risk=np.maximum(-worst, 0.0),
        changed=changed,
    )


def sum_units(
    signature: Signature,
    blocks: Blocks,
    event_ns: NDArray[np.int64],
    pairs: Pairs,
    *,
    entity: str | None,
    wanted: float,
) -> Units:
    """Sum n rows into units: whole days, or the days of each value of the field `entity`.

    wanted: money that each row's gain must exceed; it counts as lost. Rows at which nothing is at stake
    change no sum, and a unit that has no other row is left out.
    """
    gain, risk = pairs.gain - wanted, np.maximum(pairs.risk + wanted, 0.0)
    rows = np.flatnonzero((gain != 0) | (risk != 0))
    codes = _entity_codes(signature, blocks, entity, rows)
    entities = int(codes.max(initial=0)) + 1
    key, unit = np.unique((event_ns[rows] // DAY_NS) * entities + codes, return_inverse=True)
    return Units(
        day=key // entities,
        gain=np.bincount(unit, weights=gain[rows], minlength=len(key)).astype(np.float64),
        risk=np.bincount(unit, weights=risk[rows], minlength=len(key)).astype(np.float64),
    )


def _entity_codes(
    signature: Signature, blocks: Blocks, entity: str | None, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Which entity each of these rows is of: numbers that order as entities do; all 0 without an entity."""
    if entity is None:
        return np.zeros(len(rows), np.int64)
    if signature.by_name[entity].kind is Kind.INTEGER:
        column = next(at for at, known in enumerate(signature.integers) if known.name == entity)
        return np.unique(blocks.integers[rows, column], return_inverse=True)[1].astype(np.int64)
    column = next(at for at, known in enumerate(signature.texts) if known.name == entity)
    names = blocks.texts[rows, column].tolist()
    code = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.fromiter(map(code.__getitem__, names), np.int64, len(names))


def day_spread(units: Units, cycle_days: int, first_day: int, days: int) -> float | None:
    """How many times more the days' totals vary than they would if units were independent of each other.

    About 1 when they are. Days are compared with those of the same place in the cycle, so that a weekly
    pattern does not count. None with fewer than three whole cycles, or when nothing varies.
    """
    cycles = days // cycle_days
    inside = units.until(first_day + cycles * cycle_days)
    if cycles < 3 or not len(inside):  # noqa: PLR2004 - a spread of two says nothing
        return None
    place, size = inside.day - first_day, cycles * cycle_days
    total = np.bincount(place, weights=inside.gain, minlength=size).reshape(cycles, cycle_days)
    count = np.bincount(place, minlength=size).reshape(cycles, cycle_days)
    # What a day with so many units would have gained, had each the mean of its place in the cycle.
    mean = total.sum(axis=0) / np.maximum(count.sum(axis=0), 1)
    between = float(((total - count * mean) ** 2).sum()) * cycles / (cycles - 1)
    within = float(((inside.gain - mean[place % cycle_days]) ** 2).sum())
    return between / within if within > 0 else None
