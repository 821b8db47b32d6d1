"""Over which time windows are looked at: an hour, for what breaks, and a day, for what moves slowly.

Where days have too few rows, whole weeks are looked at in their place. Not days until there are enough: a
window of five days has a Sunday or has none, and one of weeks has the same weekdays as those before it, and
as training. Weeks and four weeks begin at fixed moments, so that a sidecar that starts again finds the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HOUR_NS = 3_600 * 1_000_000_000
DAY_NS = 24 * HOUR_NS
WEEK_NS = 7 * DAY_NS


@dataclass(frozen=True)
class Scale:
    """Windows of `length_ns`, aligned to UTC.

    alarms: its part of the false alarms that are allowed. plain: a finding closes after so many windows
    running without it; fewer, and what comes and goes would be told anew each time. cycles: how far back the
    same hours lie, nearest to the truth first, as (name, distance, most of them). spreads: the scales whose
    spread in training holds for it, nearest to the truth first.
    """

    name: str
    length_ns: int
    alarms: float
    plain: int
    cycles: tuple[tuple[str, int, int], ...]
    spreads: tuple[str, ...]

    @property
    def looks_per_day(self) -> float:
        """Windows that end in a day."""
        return DAY_NS / self.length_ns

    def start(self, at_ns: int) -> int:
        """The start of the window that holds a moment."""
        return at_ns // self.length_ns * self.length_ns


# The same hour of other weekdays differs where the week has a rhythm; training says by how much.
HOUR = Scale("hour", HOUR_NS, 0.75, 6, (("week", WEEK_NS, 4), ("day", DAY_NS, 3)), ("hour",))
DAY = Scale("day", DAY_NS, 0.25, 7, (("week", WEEK_NS, 4),), ("day",))
SCALES = (HOUR, DAY)
"""From the shortest; profiles are kept by the first one's windows."""

# No day in them is looked at. A look at weeks may raise as many alarms as one at a day, so there are fewer in
# all; with those of seven days, one look in twenty would. Means of weeks vary no more than means of days, so
# the spread of days errs to the safe side.
WEEK = Scale("week", WEEK_NS, DAY.alarms / 7, 2, (("week", WEEK_NS, 4),), ("week", "day"))
# Eight, since the second of two strange windows is compared with what was before the first.
FOUR_WEEKS = Scale("four weeks", 4 * WEEK_NS, DAY.alarms / 28, 2, (("week", WEEK_NS, 8),), ("week", "day"))
IN_PLACE_OF_DAYS = (WEEK, FOUR_WEEKS)
"""From the shortest; each is looked at when nothing in it was."""
LEAST_ROWS = 50
"""Of four weeks. Further back nothing is put together, so they are looked at with fewer than `min_rows`."""

KEPT_NS = 4 * WEEK_NS + DAY_NS
"""How far back a look at an hour or a day reaches."""
KEPT_OF_WEEKS_NS = 3 * FOUR_WEEKS.length_ns + DAY_NS
"""How far back a look at four weeks reaches: to the eight before."""
_BLOCKS = 4
"""Of four weeks, that a watch needs to find again what was open: two that are strange, and two before."""


_BY_NAME = {scale.name: scale for scale in (*SCALES, *IN_PLACE_OF_DAYS)}


def overdue_ns(scale: str) -> int:
    """When another look at windows of this scale should long have been: after two of them, and a day."""
    return max(2 * _BY_NAME[scale].length_ns, DAY_NS)


def history_ns(rows: Mapping[int, int], min_rows: int) -> int:
    """From when on a watch must be given windows, so that it knows what one knows that never ended.

    rows: how many each window of the shortest scale has, by start; not empty. Where days are looked at, that
    is `KEPT_NS` before the newest; where hardly any has enough rows, further.
    """
    newest_ns = max(rows)
    days: dict[int, int] = {}
    for start_ns, counted in rows.items():
        if start_ns >= newest_ns - KEPT_NS:
            days[DAY.start(start_ns)] = days.get(DAY.start(start_ns), 0) + counted
    if sum(counted >= min_rows for counted in days.values()) >= DAY.plain:
        return newest_ns - KEPT_NS
    return FOUR_WEEKS.start(newest_ns) - _BLOCKS * FOUR_WEEKS.length_ns
