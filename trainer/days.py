"""Moments in nanoseconds since the Unix epoch, and the UTC days and hours they fall in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

DAY_NS = 86_400 * 10**9
HOUR_NS = 3_600 * 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def day_start(moment_ns: int) -> int:
    """Return the start of the UTC day that the moment falls in."""
    return moment_ns - moment_ns % DAY_NS


def hour_start(moment_ns: int) -> int:
    """Return the start of the hour that the moment falls in."""
    return moment_ns - moment_ns % HOUR_NS


def nanoseconds(duration: timedelta) -> int:
    """Return a duration in whole nanoseconds, without going through a float."""
    return ((duration.days * 86_400 + duration.seconds) * 1_000_000 + duration.microseconds) * 1_000


def moment(when: datetime) -> int:
    """Return the nanoseconds since the epoch; a time without zone is UTC."""
    return nanoseconds((when if when.tzinfo else when.replace(tzinfo=UTC)) - _EPOCH)


def iso_day(moment_ns: int) -> str:
    """Return the UTC date, such as 2013-03-15."""
    return f"{_at(moment_ns):%Y-%m-%d}"


def iso_minute(moment_ns: int) -> str:
    """Return the UTC date and time to the minute, such as 2013-03-15 08:30."""
    return f"{_at(moment_ns):%Y-%m-%d %H:%M}"


def _at(moment_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=moment_ns // 1_000)
