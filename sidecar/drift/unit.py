"""Recognises a number that arrives in another unit, from mean and standard deviation, and its declared unit.

Two figures fit many a conversion. So one between units of time, say, is looked for only where the field is
declared in one of them, or in none; powers of ten and a turned sign are looked for everywhere.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sidecar.profile.profile import Profile

_SPREAD_WITHIN = 0.2
"""Part by which the standard deviation may miss what the conversion predicts."""
_MEAN_WITHIN = 0.25
"""Predicted standard deviations by which the mean may miss."""

_LEAST_MOVE, _NATURAL_MOVES = 0.5, 3.0
"""Standard deviations of a value, and of the means of windows, that the mean must have moved."""


class Conversion(NamedTuple):
    """value * factor + offset; words: who sends what. between: the kind of units, "" for any."""

    factor: float
    offset: float
    words: str
    between: str = ""


_KNOWN = (
    Conversion(
        1000.0, 0.0, "thousandths sent for wholes, such as milliseconds for seconds or grams for kilograms"
    ),
    Conversion(1e6, 0.0, "millionths sent for wholes, such as microseconds for seconds"),
    Conversion(100.0, 0.0, "hundredths sent for wholes, such as cents for dollars or percent for shares"),
    Conversion(60.0, 0.0, "the next smaller unit of time, such as seconds for minutes", "time"),
    Conversion(3600.0, 0.0, "seconds sent for hours", "time"),
    Conversion(24.0, 0.0, "hours sent for days", "time"),
    Conversion(1.8, 32.0, "degrees Fahrenheit sent for Celsius", "temperature"),
    Conversion(1.609344, 0.0, "kilometres sent for miles", "length"),
    Conversion(3.28084, 0.0, "feet sent for metres", "length"),
    Conversion(2.54, 0.0, "centimetres sent for inches", "length"),
    Conversion(2.204623, 0.0, "pounds sent for kilograms", "mass"),
)
_UNITS = {
    "time": "ns us ms s sec secs second seconds min mins minute minutes h hr hrs hour hours d day days",
    "temperature": "c f k celsius fahrenheit kelvin",
    # Speeds are converted as the lengths in them are.
    "length": "mm cm m km in inch inches ft foot feet mi mile miles metre metres meter meters"
    " mph kph kmh kn kt knot knots",
    "mass": "g kg lb lbs gram grams kilogram kilograms pound pounds",
    "volume": "l litre litres liter liters gal gallon gallons",
    "pressure": "mb mbar millibar millibars hpa pa kpa inhg",
    "angle": "deg degree degrees rad radian radians",
}
_KIND_OF = {unit: kind for kind, units in _UNITS.items() for unit in units.split()}


def kind_of(unit: str) -> str:
    """What a declared unit measures, by its first word: "time" of "min, local"; "" of any other.

    >>> kind_of("min, local"), kind_of("km/h"), kind_of("°C"), kind_of("EUR"), kind_of("0 is Monday")
    ('time', 'length', 'temperature', '', '')
    """
    word = re.search(r"[^\W_]+", unit)
    return _KIND_OF.get(word[0].lower(), "") if word else ""


def is_possible(between: str, unit: str) -> bool:
    """Whether values declared in this unit may be converted between units of a kind; "" of either is any.

    >>> is_possible("mass", "kg"), is_possible("mass", "EUR"), is_possible("mass", ""), is_possible("", "EUR")
    (True, False, True, True)
    """
    return not (between and unit) or between == kind_of(unit)


def find_conversion(
    now: tuple[float, float], before: tuple[float, float], natural: float, unit: str = ""
) -> Conversion | None:
    """The known conversion, either way round, that turns the values before into those now; None without one.

    now, before: mean and standard deviation. natural: the variance between windows, in units of that of one
    value; a mean that moves little beside either is no other unit. unit: as the field declares it.
    """
    (mean, deviation), (former_mean, former_deviation) = now, before
    if not (deviation > 0 and former_deviation > 0):
        return None
    if abs(mean - former_mean) < max(_LEAST_MOVE, _NATURAL_MOVES * math.sqrt(natural)) * former_deviation:
        return None
    for known in _both_ways():
        if is_possible(known.between, unit) and _turns(known, former_mean, former_deviation, mean, deviation):
            return known
    return None


def _turns(known: Conversion, mean: float, deviation: float, into_mean: float, into_deviation: float) -> bool:
    """Whether a conversion turns values of one mean and deviation into those of another."""
    predicted = abs(known.factor) * deviation
    near = abs(into_mean - (known.factor * mean + known.offset)) <= _MEAN_WITHIN * predicted
    return near and abs(into_deviation / predicted - 1) <= _SPREAD_WITHIN


def moments(profile: Profile, subject: int, present: int) -> tuple[float, float]:
    """Mean and standard deviation of the values of a subject; NaN of none."""
    if not present:
        return math.nan, math.nan
    mean = float(profile.sums[subject]) / present
    return mean, math.sqrt(max(float(profile.squares[subject]) / present - mean**2, 0.0))


def _both_ways() -> list[Conversion]:
    there = [*_KNOWN, Conversion(-1.0, 0.0, "the sign turned round")]
    back = [
        known._replace(
            factor=1 / known.factor,
            offset=-known.offset / known.factor,
            words=f"the reverse of: {known.words}",
        )
        for known in _KNOWN
    ]
    return there + back
