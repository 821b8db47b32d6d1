"""Figures as the sections write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def share(value: float) -> str:
    """A share of streams, such as 2.90 %."""
    return f"{value:.2%}".replace("%", " %")


def delay(one: Mapping[str, Any]) -> str:
    """Rows until half of the streams are decided, and in brackets until 80 % are."""
    return f"{one['half']:,.0f} ({one['most']:,.0f})"
