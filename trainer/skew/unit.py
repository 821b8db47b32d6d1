"""Another unit: undoing a conversion puts the values back to where they belong, and onto their steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.skew.membership import known, membership_evidence
from trainer.skew.verdict import Suspicion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from trainer.skew.background import Background
    from trainer.skew.density import Density
    from trainer.skew.rows import AuditRows


@dataclass(frozen=True, slots=True)
class Conversion:
    """sent = factor * right + offset."""

    words: str
    factor: float
    offset: float = 0.0

    def do(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Right values as they would be sent."""
        return values * self.factor + self.offset

    def undo(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sent values as they should be."""
        return (values - self.offset) / self.factor


_BOTH_WAYS = (
    ("", "in thousands", 1e-3),
    ("", "in millions", 1e-6),
    ("", "a tenth of it", 0.1),
    ("percent", "a share", 0.01),
    ("minutes", "hours", 1 / 60),
    ("seconds", "hours", 1 / 3600),
    ("hours", "days", 1 / 24),
    ("miles", "kilometres", 1.609344),
    ("miles per hour", "knots", 0.868976242),
    ("miles per hour", "metres per second", 0.44704),
    ("kilometres per hour", "metres per second", 1 / 3.6),
    ("knots", "metres per second", 0.514444444),
    ("knots", "kilometres per hour", 1.852),
    ("inches", "millimetres", 25.4),
    ("inches", "centimetres", 2.54),
    ("feet", "metres", 0.3048),
    ("pounds", "kilograms", 0.45359237),
    ("gallons", "litres", 3.785411784),
    ("millibars", "inches of mercury", 0.0295299830714),
    ("degrees", "radians", np.pi / 180),
)


def _conversions() -> tuple[Conversion, ...]:
    found = [
        Conversion("Fahrenheit sent as Celsius", 5 / 9, -160 / 9),
        Conversion("Celsius sent as Fahrenheit", 9 / 5, 32.0),
        Conversion("Celsius sent as kelvin", 1.0, 273.15),
        Conversion("kelvin sent as Celsius", 1.0, -273.15),
        Conversion("sent with the opposite sign", -1.0),
    ]
    for one, other, factor in _BOTH_WAYS:
        there = f"{one} sent as {other}" if one else f"sent {_times(factor)}"
        back = f"{other} sent as {one}" if one else f"sent {_times(1 / factor)}"
        found += [Conversion(there, factor), Conversion(back, 1 / factor)]
    return tuple(found)


def _times(factor: float) -> str:
    return f"{factor:,.0f} times as large" if factor > 1 else f"{1 / factor:,.0f} times too small"


CONVERSIONS = _conversions()
_ASKED = 1_000
"""Right values that say how often one is known by chance after a conversion."""


def unit_changes(suspect: AuditRows, background: Background, fields: Sequence[int]) -> Iterator[Suspicion]:
    """Every conversion of each of these fields of numbers that explains the rows better than none."""
    for field in fields:
        density = background.densities[field]
        # What is said of a row is said of its value, and values repeat.
        sent, sent_place = np.unique(suspect.values[:, field], return_inverse=True)
        right, right_place = np.unique(background.values(field), return_inverse=True)
        counts = np.where(np.isnan(right), 0, np.bincount(right_place))
        if not counts.sum():
            continue
        elsewhere = background.known_elsewhere(field)
        usual = float(counts[elsewhere].sum() / counts.sum())
        steps = right[~np.isnan(right)]
        some = np.repeat(steps, counts[~np.isnan(right)])[:: max(1, int(counts.sum()) // _ASKED)]
        for conversion in CONVERSIONS:
            rates = _Rates(
                usual,
                min(usual, float(known(conversion.undo(some), steps).mean())),
                min(usual, float(known(conversion.do(some), steps).mean())),
            )
            nats = _nats(density, conversion, sent, as_is=known(sent, steps), steps=steps, rates=rates)[
                sent_place
            ]
            if nats.sum() > 0:
                usually = _nats(density, conversion, right, as_is=elsewhere, steps=steps, rates=rates)[
                    right_place
                ]
                yield Suspicion(
                    "unit",
                    (field,),
                    conversion.words,
                    nats,
                    usually,
                    facts={"factor": conversion.factor, "offset": conversion.offset},
                )


@dataclass(frozen=True, slots=True)
class _Rates:
    """Shares as `membership_evidence` wants them."""

    usual: float
    chance: float
    chance_as_is: float


def _nats(
    density: Density,
    conversion: Conversion,
    values: NDArray[np.float64],
    *,
    as_is: NDArray[np.bool_],
    steps: NDArray[np.float64],
    rates: _Rates,
) -> NDArray[np.float64]:
    undone = conversion.undo(values)
    place = density.log_likelihood(undone) - density.log_likelihood(values) - np.log(abs(conversion.factor))
    on_steps = membership_evidence(known(undone, steps), as_is, rates.usual, rates.chance, rates.chance_as_is)
    return np.where(np.isnan(values), 0.0, place + on_steps)
