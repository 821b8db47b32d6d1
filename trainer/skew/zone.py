"""Another time zone: a clock that goes with the time of the event is off by whole hours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.skew.rows import HOURS_PER_DAY, NS_PER_HOUR
from trainer.skew.verdict import Fit, Suspicion, promising

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from trainer.skew.background import Background
    from trainer.skew.rows import AuditRows

UNITS_PER_DAY = (24.0, 1440.0, 86_400.0, 86_400e3, 86_400e6, 86_400e9)
"""Clocks may count hours, minutes, seconds, or parts of them; since midnight or since any day."""
MIN_CONCENTRATION = 0.8
"""How closely a field follows the time of the event to be called a clock: length of the mean direction."""
_BINS_PER_HOUR = 4
_BINS = HOURS_PER_DAY * _BINS_PER_HOUR
_SUMMER = (1, HOURS_PER_DAY - 1)


def zone_changes(suspect: AuditRows, background: Background, fields: Sequence[int]) -> Iterator[Suspicion]:
    """Every shift of a clock by whole hours that explains the rows better than none.

    A shift by one hour is what summer time does to all callers at once; so it counts only where there are
    other clients at the same time, and they have none.
    """
    for field in fields:
        for units in UNITS_PER_DAY:
            ahead = _hours_ahead(background.rows, field, units)
            if _concentration(ahead) < MIN_CONCENTRATION:
                continue
            log_share = _log_share(ahead)
            sent = _hours_ahead(suspect, field, units)
            for hours in range(1, HOURS_PER_DAY):
                if hours in _SUMMER and background.now < 0:
                    continue
                nats = _shifted(log_share, sent, hours)
                if promising(nats):
                    off = hours if hours <= HOURS_PER_DAY // 2 else hours - HOURS_PER_DAY
                    yield Suspicion(
                        "zone",
                        (field,),
                        f"sent {abs(off)} hours {'ahead' if off > 0 else 'behind'}, as in another time zone",
                        nats,
                        _shifted(log_share, ahead, hours),
                        facts={"hours": off},
                        fit=Fit(
                            _log_share_of(log_share, sent, hours),
                            _log_share_of(log_share, ahead, 0),
                            np.ones(len(suspect)),  # a clock has no steps
                            np.ones(len(background)),
                        ),
                    )


def _hours_ahead(rows: AuditRows, field: int, units: float) -> NDArray[np.float64]:
    """How far the field is ahead of the event's time of day in UTC: hours in [0, 24), NaN for missing."""
    of_day = (rows.event_ns % (HOURS_PER_DAY * NS_PER_HOUR)) / NS_PER_HOUR
    return np.asarray((rows.values[:, field] / units * HOURS_PER_DAY - of_day) % HOURS_PER_DAY)


def _concentration(hours: NDArray[np.float64]) -> float:
    present = hours[~np.isnan(hours)]
    if not len(present):
        return 0.0
    return float(np.abs(np.exp(2j * np.pi * present / HOURS_PER_DAY).mean()))


def _log_share(hours: NDArray[np.float64]) -> NDArray[np.float64]:
    counts = np.bincount(_bin(hours[~np.isnan(hours)]), minlength=_BINS)
    smooth = counts + np.roll(counts, 1) + np.roll(counts, -1) + 0.5
    return np.asarray(np.log(smooth / smooth.sum()))


def _bin(hours: NDArray[np.float64]) -> NDArray[np.int64]:
    return (hours * _BINS_PER_HOUR).astype(np.int64) % _BINS


def _shifted(log_share: NDArray[np.float64], ahead: NDArray[np.float64], hours: int) -> NDArray[np.float64]:
    return _log_share_of(log_share, ahead, hours) - _log_share_of(log_share, ahead, 0)


def _log_share_of(
    log_share: NDArray[np.float64], ahead: NDArray[np.float64], hours: int
) -> NDArray[np.float64]:
    """Of clocks that are taken back by some hours; 0 for missing ones."""
    missing = np.isnan(ahead)
    here = _bin(np.where(missing, 0.0, ahead))
    return np.where(missing, 0.0, log_share[(here - hours * _BINS_PER_HOUR) % _BINS])
