"""Over which time windows are looked at: an hour, for what breaks, and a day, for what moves slowly."""

from __future__ import annotations

from dataclasses import dataclass

HOUR_NS = 3_600 * 1_000_000_000
DAY_NS = 24 * HOUR_NS
WEEK_NS = 7 * DAY_NS


@dataclass(frozen=True)
class Scale:
    """Windows of `length_ns`, aligned to UTC.

    alarms: its part of the false alarms that are allowed. plain: a finding closes after so many windows
    running without it; fewer, and what comes and goes would be told anew each time. cycles: how far back the
    same hours lie, nearest to the truth first, as (name, distance, most of them).
    """

    name: str
    length_ns: int
    alarms: float
    plain: int
    cycles: tuple[tuple[str, int, int], ...]

    @property
    def looks_per_day(self) -> float:
        """Windows that end in a day."""
        return DAY_NS / self.length_ns

    def start(self, at_ns: int) -> int:
        """The start of the window that holds a moment."""
        return at_ns // self.length_ns * self.length_ns


# The same hour of other weekdays differs where the week has a rhythm; training says by how much.
HOUR = Scale("hour", HOUR_NS, 0.75, 6, (("week", WEEK_NS, 4), ("day", DAY_NS, 3)))
DAY = Scale("day", DAY_NS, 0.25, 7, (("week", WEEK_NS, 4),))
SCALES = (HOUR, DAY)
"""From the shortest; profiles are kept by the first one's windows."""
KEPT_NS = 4 * WEEK_NS + DAY_NS
"""How far back a look reaches."""
