"""A stale lookup: a value that all rows of an hour share is that of an earlier hour, or no longer changes.

A lookup is a field that is the same for all rows of an hour, or for all of them with the same text in
another field: weather by airport, a price by product. Whether it is late can be told only while others send
it in time. That it stands still can be told from one client's rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from trainer.days import iso_minute
from trainer.skew.membership import LEAST_RATE, known, membership_evidence
from trainer.skew.rows import NS_PER_HOUR, AuditRows
from trainer.skew.verdict import MIN_ROWS, Suspicion, promising

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from trainer.skew.background import Background

LAGS = (*range(2, 49), 72, 96, 120, 144, 168)
"""Hours that a value may be late."""
MIN_SHARED = 0.9
"""Share of rows that have the value of their hour, for a field to be called a lookup."""
MAX_KEYS = 200
"""Texts that a lookup may go by."""
_DAY_NS = 24 * NS_PER_HOUR
_TOLERANCE = 4e-6  # as in `membership`
_OLD = 0.9  # share of a field's values that are not new, for it to stand still


@dataclass(frozen=True, eq=False)
class Lookup:
    """What a field was in each hour: table [hours, keys], NaN where nobody sent it.

    key: the place of the field of text that it goes by, -1 for none; keys: that field's values, ascending.
    """

    field: int
    key: int
    keys: NDArray[np.float64]
    first_hour: int
    table: NDArray[np.float64]

    def fresh(self, rows: AuditRows) -> NDArray[np.bool_]:
        """Whether each row has the value of its hour, give or take one."""
        return np.asarray(self.at(rows, -1) | self.at(rows, 0) | self.at(rows, 1))

    def at(self, rows: AuditRows, lag: int) -> NDArray[np.bool_]:
        """Whether each row has the value of `lag` hours before it."""
        there = self._find(rows, lag)
        return np.asarray(np.isclose(rows.values[:, self.field], there, rtol=_TOLERANCE, atol=_TOLERANCE))

    def as_in(self, rows: AuditRows, hour: int) -> NDArray[np.bool_]:
        """Whether each row has the value of one hour since the epoch."""
        key = _places(rows, self.key, self.keys)
        there = np.where(key >= 0, self.table[hour - self.first_hour, np.maximum(key, 0)], np.nan)
        return np.asarray(np.isclose(rows.values[:, self.field], there, rtol=_TOLERANCE, atol=_TOLERANCE))

    def can_tell(self, rows: AuditRows) -> NDArray[np.bool_]:
        """Rows that have a value, in an hour of which the right one is known."""
        return ~np.isnan(rows.values[:, self.field]) & ~np.isnan(self._find(rows, 0))

    def _find(self, rows: AuditRows, lag: int) -> NDArray[np.float64]:
        hour = rows.event_ns // NS_PER_HOUR - lag - self.first_hour
        key = _places(rows, self.key, self.keys)
        there = (hour >= 0) & (hour < len(self.table)) & (key >= 0)
        return np.where(there, self.table[np.where(there, hour, 0), np.where(there, key, 0)], np.nan)


def lookup(others: AuditRows, everyone: AuditRows, field: int, keys: Sequence[int]) -> Lookup | None:
    """What others sent in a field that is a lookup, by nothing or by the first of `keys`; else None.

    everyone: right rows of all kinds, which say what it goes by: where the others are of one airport, the
    weather seems to go by nothing.
    """
    key = _goes_by(everyone, field, keys)
    return None if key is None else _table(others, field, key)


def _goes_by(everyone: AuditRows, field: int, keys: Sequence[int]) -> int | None:
    tried = (key for key in (-1, *keys) if key != field)
    return next((key for key in tried if _table(everyone, field, key) is not None), None)


def _table(rows: AuditRows, field: int, key: int) -> Lookup | None:
    there = ~np.isnan(rows.values[:, field])
    rows = rows.take(there & ~np.isnan(rows.values[:, key]) if key >= 0 else there)
    keys = np.unique(rows.values[:, key]) if key >= 0 else np.zeros(1)
    if not (len(rows) and 1 <= len(keys) <= MAX_KEYS):
        return None
    hour = rows.event_ns // NS_PER_HOUR
    hours = int(hour[-1] - hour[0]) + 1
    cell = (hour - hour[0]) * len(keys) + _places(rows, key, keys)
    values, code = np.unique(rows.values[:, field], return_inverse=True)
    pairs, counts = np.unique(cell * len(values) + code, return_counts=True)
    # In each cell the most frequent value: ordered by count, the last one written stays.
    order = np.argsort(counts, kind="stable")
    table = np.full(hours * len(keys), np.nan)
    table[pairs[order] // len(values)] = values[pairs[order] % len(values)]
    several = np.bincount(cell, minlength=len(table))[cell] > 1
    if not several.any() or np.mean((table[cell] == rows.values[:, field])[several]) < MIN_SHARED:
        return None
    return Lookup(field, key, keys, int(hour[0]), table.reshape(hours, len(keys)))


def _places(rows: AuditRows, key: int, keys: NDArray[np.float64]) -> NDArray[np.int64]:
    """Where each row's key is among `keys`; -1 for another one."""
    if key < 0:
        return np.zeros(len(rows), np.int64)
    values = rows.values[:, key]
    place = np.minimum(np.searchsorted(keys, values), len(keys) - 1)
    return np.where(keys[place] == values, place, -1)


def lags(
    suspect: AuditRows,
    background: Background,
    others: AuditRows,
    fields: Sequence[int],
    keys: Sequence[int],
) -> Iterator[Suspicion]:
    """Every lag that explains a lookup's values better than none.

    others: right rows in order of time, not the suspect's, from a week before to the same time. keys: the
    fields of text, which a lookup may go by.
    """
    if background.now < 0:
        return
    peers = background.rows.take(background.block == background.now)
    everyone = background.in_time
    for field in fields:
        right = lookup(others, everyone, field, keys)
        if right is None:
            continue
        sent, told = suspect.take(right.can_tell(suspect)), peers.take(right.can_tell(peers))
        if not (len(sent) and len(told)):
            continue
        fresh, fresh_told = right.fresh(sent), right.fresh(told)
        usual = float(fresh_told.mean())
        for words, facts, late in _delays(right, suspect):
            then_told = late(told)
            chance = float(then_told.mean())
            every = np.zeros(len(suspect))
            every[right.can_tell(suspect)] = membership_evidence(late(sent), fresh, usual, chance)
            if chance < usual - LEAST_RATE and promising(every):
                usually = membership_evidence(then_told, fresh_told, usual, chance)
                yield Suspicion(
                    "stale",
                    (field,),
                    words,
                    every,
                    np.full(len(background), usually.mean()),
                    facts={**facts, "as_in_its_hour": float(fresh.mean())},
                    by_hour=True,
                )


def _delays(
    right: Lookup, suspect: AuditRows
) -> Iterator[tuple[str, dict[str, int], Callable[[AuditRows], NDArray[np.bool_]]]]:
    """Words, facts and test of each way to be late: by some hours always, or since some hour."""
    for lag in LAGS:
        yield f"sent as it was {lag} hours before", {"hours": lag}, partial(right.at, lag=lag)
    first, last = (suspect.event_ns[[0, -1]] // NS_PER_HOUR).tolist()
    for hour in range(max(first - 24, right.first_hour), min(last - 1, right.first_hour + len(right.table))):
        words = f"sent as it was at {iso_minute(hour * NS_PER_HOUR)} UTC, without a change"
        yield words, {"as_of_ns": hour * NS_PER_HOUR}, partial(right.as_in, hour=hour)


def frozen(
    suspect: AuditRows, background: Background, fields: Sequence[int], keys: Sequence[int]
) -> Iterator[Suspicion]:
    """Every hour from which on a lookup has no value that it had not had in that hour.

    Right rows, over the same hours of their days, say how many values are new by then.
    """
    start = int(suspect.event_ns[0])
    hours = int((suspect.event_ns[-1] - start) // NS_PER_HOUR)
    numbers = range(int(background.block.max()) + 1)
    blocks = [background.rows.take(background.block == number) for number in numbers]
    for field in fields:
        if _goes_by(background.in_time, field, keys) is None:
            continue
        for hour in range(max(1, hours - 2)):
            offset = hour * NS_PER_HOUR
            sent = _not_new(suspect, field, start + offset)
            if np.count_nonzero(sent == 1) < MIN_ROWS or np.nanmean(sent) < _OLD:
                continue
            old = [_not_new(block, field, _start(block, start) + offset) for block in blocks]
            told = np.concatenate(old)
            told = told[~np.isnan(told)]
            if not len(told) or told.mean() > 1 - 2 * LEAST_RATE:
                continue
            chance = float(told.mean())
            nats = _nats(sent, chance)
            if promising(nats):
                yield Suspicion(
                    "stale",
                    (field,),
                    "sent as it was at the beginning, without a change",
                    nats,
                    np.concatenate([_nats(one, chance) for one in old]),
                    facts={"usually_not_new": chance},
                    by_hour=True,
                )


def _start(block: AuditRows, start_ns: int) -> int:
    """When the block's span begins: as the suspect's, on its own day."""
    return int(block.event_ns[0]) - (int(block.event_ns[0]) - start_ns) % _DAY_NS


def _not_new(rows: AuditRows, field: int, from_ns: int) -> NDArray[np.float64]:
    """1 for a value that occurred in the hour after `from_ns`, 0 for a new one; NaN before and missing."""
    values = rows.values[:, field]
    until_ns = from_ns + NS_PER_HOUR
    in_hour = (rows.event_ns >= from_ns) & (rows.event_ns < until_ns) & ~np.isnan(values)
    if not in_hour.any():
        return np.full(len(values), np.nan)
    later = (rows.event_ns >= until_ns) & ~np.isnan(values)
    return np.where(later, known(values, np.unique(values[in_hour])), np.nan)


def _nats(old: NDArray[np.float64], chance: float) -> NDArray[np.float64]:
    chance = max(chance, LEAST_RATE)
    nats = np.where(old == 1, np.log((1 - LEAST_RATE) / chance), np.log(LEAST_RATE / (1 - chance)))
    return np.where(np.isnan(old), 0.0, nats)
