"""Days, weeks and months of UTC time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from trainer.days import moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

_MICROSECOND_NS = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class By(StrEnum):
    """How long a period is."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Period:
    """[since_ns, until_ns), named by its first day, a month by year and month."""

    name: str
    since_ns: int
    until_ns: int


def period_of(moment_ns: int, by: By) -> Period:
    """The period that a moment falls in; weeks begin on Monday.

    >>> period_of(1_370_217_600_000_000_000, By.MONTH).name
    '2013-06'
    >>> period_of(1_370_217_600_000_000_000, By.WEEK).name
    '2013-06-03'
    """
    at = _EPOCH + timedelta(microseconds=moment_ns // _MICROSECOND_NS)
    start = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if by is By.MONTH:
        start = start.replace(day=1)
        end = (start + timedelta(days=31)).replace(day=1)
        return Period(f"{start:%Y-%m}", moment(start), moment(end))
    if by is By.WEEK:
        start -= timedelta(days=start.weekday())
    end = start + timedelta(days=7 if by is By.WEEK else 1)
    return Period(f"{start:%Y-%m-%d}", moment(start), moment(end))


def split(event_ns: NDArray[np.int64], by: By) -> Iterator[tuple[Period, slice]]:
    """Each period that has rows, with its rows. event_ns: in order."""
    first = 0
    while first < len(event_ns):
        period = period_of(int(event_ns[first]), by)
        end = int(event_ns.searchsorted(period.until_ns))
        yield period, slice(first, end)
        first = end
