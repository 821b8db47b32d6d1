"""Another unit: undoing a conversion puts the values back to where they belong, and onto their steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sidecar.drift.unit import is_possible
from trainer.skew.verdict import Fit, Suspicion, promising

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from trainer.skew.background import Background
    from trainer.skew.rows import AuditRows

_ORDER = 5.0
_STEPPED = 0.5
"""Share of a field's values that come again on other days, for its steps to tell in any season."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """sent = factor * right + offset. between: the kind of units, see `is_possible`."""

    words: str
    factor: float
    offset: float = 0.0
    between: str = ""

    @property
    def changes_order(self) -> bool:
        """Whether it changes the scale by more than another season might."""
        return not 1 / _ORDER < self.factor < _ORDER

    def undo(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sent values as they should be."""
        return (values - self.offset) / self.factor


_BOTH_WAYS = (
    ("", "", "in thousands", 1e-3),
    ("", "", "in millions", 1e-6),
    ("", "", "a tenth of it", 0.1),
    ("", "percent", "a share", 0.01),
    ("time", "minutes", "hours", 1 / 60),
    ("time", "seconds", "hours", 1 / 3600),
    ("time", "hours", "days", 1 / 24),
    ("length", "miles", "kilometres", 1.609344),
    ("length", "miles per hour", "knots", 0.868976242),
    ("length", "miles per hour", "metres per second", 0.44704),
    ("length", "kilometres per hour", "metres per second", 1 / 3.6),
    ("length", "knots", "metres per second", 0.514444444),
    ("length", "knots", "kilometres per hour", 1.852),
    ("length", "inches", "millimetres", 25.4),
    ("length", "inches", "centimetres", 2.54),
    ("length", "feet", "metres", 0.3048),
    ("mass", "pounds", "kilograms", 0.45359237),
    ("volume", "gallons", "litres", 3.785411784),
    ("pressure", "millibars", "inches of mercury", 0.0295299830714),
    ("angle", "degrees", "radians", np.pi / 180),
)


def _conversions() -> tuple[Conversion, ...]:
    found = [
        Conversion("Fahrenheit sent as Celsius", 5 / 9, -160 / 9, "temperature"),
        Conversion("Celsius sent as Fahrenheit", 9 / 5, 32.0, "temperature"),
        Conversion("Celsius sent as kelvin", 1.0, 273.15, "temperature"),
        Conversion("kelvin sent as Celsius", 1.0, -273.15, "temperature"),
        Conversion("sent with the opposite sign", -1.0),
    ]
    for between, one, other, factor in _BOTH_WAYS:
        there = f"{one} sent as {other}" if one else f"sent {_times(factor)}"
        back = f"{other} sent as {one}" if one else f"sent {_times(1 / factor)}"
        found += [
            Conversion(there, factor, between=between),
            Conversion(back, 1 / factor, between=between),
        ]
    return tuple(found)


def _times(factor: float) -> str:
    return f"{factor:,.0f} times as large" if factor > 1 else f"{1 / factor:,.0f} times too small"


CONVERSIONS = _conversions()


def unit_changes(suspect: AuditRows, background: Background, units: Mapping[int, str]) -> Iterator[Suspicion]:
    """Every conversion of a field of numbers that explains the rows better than none.

    units: the declared one of each field to look at, by its place.
    """
    for field, unit in units.items():
        sent = suspect.values[:, field]
        as_is = background.log_likelihood(field, sent)
        on_steps = background.steps[field].usual >= _STEPPED
        for conversion in CONVERSIONS:
            if not (background.logged or on_steps or conversion.changes_order):
                continue
            if not is_possible(conversion.between, unit):
                continue
            undone = background.log_likelihood(field, conversion.undo(sent))
            nats = np.where(np.isnan(sent), 0.0, undone - as_is - np.log(abs(conversion.factor)))
            if promising(nats):
                right = background.values(field)
                own = background.own_log_likelihood(field)
                wrongly = background.log_likelihood(field, conversion.undo(right))
                yield Suspicion(
                    "unit",
                    (field,),
                    conversion.words,
                    nats,
                    np.where(np.isnan(right), 0.0, wrongly - own - np.log(abs(conversion.factor))),
                    facts={"factor": conversion.factor, "offset": conversion.offset},
                    fit=Fit(
                        undone,
                        own,
                        background.on_steps(field, conversion.undo(sent)),
                        background.own_on_steps(field),
                    ),
                )
