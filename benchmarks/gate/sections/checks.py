"""What the procedure is held against: another implementation, and a budget of time and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def oracle(found: Mapping[str, Any]) -> str:
    """The e-value beside that of another implementation."""
    return (
        f"Over {found['streams']} streams of {found['units']} units the logarithm of the e-value differs "
        f"from that of `ville` "
        f"{found['ville']} by at most {found['difference']:.1e} (bar 1e-9; the gate keeps nine decimals)."
    )


def million(found: Mapping[str, Any]) -> str:
    """What the evidence of a million rows costs."""
    return (
        f"{found['joined']:,} joined rows in a log of {found['log_mb']:,.0f} MB, {found['units']:,} units "
        f"of an entity's day: "
        f"evidence in {found['seconds']:.1f} s (bar 10 s), with {found['peak_mb']:,.0f} MB at most (bar "
        f"1,000 MB), of which "
        f"{found['idle_mb']:,.0f} MB before the log was opened."
    )
