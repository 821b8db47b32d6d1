"""Parts and cycles of timestamps, computed on whole seconds in int64.

A float32 holds today's epoch seconds to within a minute, so a timestamp never becomes one: its parts do,
which are small. What follows no simple rule, such as months and sines, is looked up in a table, so that it is
the same bits wherever the graph runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from trainer.steps.whole_numbers import WholeNumbers, look_up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from trainer.graph import Graph
    from trainer.steps.tensor import Tensor
    from trainer.steps.whole_numbers import Number

_DAY = 86_400
_ERA_YEARS, _ERA_DAYS = 400, 146_097  # after which the Gregorian calendar repeats, weekdays included
_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
PARTS = (
    "second_of_day",
    "minute_of_day",
    "minute_of_week",
    "hour",
    "weekday",
    "day",
    "day_of_year",
    "month",
    "year",
)
"""weekday: 0 is Monday. day, day_of_year and month count from 1, in the Gregorian calendar."""
PERIODS = {
    "minute_of_day": 1_440.0,
    "minute_of_week": 10_080.0,
    "hour": 24.0,
    "weekday": 7.0,
    "day_of_year": 365.2425,
    "month": 12.0,
}
"""What goes round, and after how many of its units."""


class TimestampParts(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Parts of timestamps, and the sine and cosine of those that go round.

    parts: of `PARTS`. cycles: of `PERIODS`; each gives two features. unit: of the timestamps, counted
    from 1970-01-01 UTC: "s", "ms", "us" or "ns". utc_offset_minutes: added before the parts are taken. Fixed,
    as a graph knows no time zones; where clocks change, send local time. Parts agree with `datetime`, before
    1970 too. Takes int64 [rows, fields]; gives float64 [rows, features]: each part of every field, then the
    sine and cosine of each cycle.

    >>> TimestampParts(("hour", "weekday")).fit_transform(np.array([[-1]])).tolist()
    [[23.0, 2.0]]
    """

    def __init__(
        self,
        parts: Sequence[str] = ("minute_of_day", "weekday", "month"),
        cycles: Sequence[str] = (),
        *,
        unit: str = "s",
        utc_offset_minutes: int = 0,
    ) -> None:
        self.parts = parts
        self.cycles = cycles
        self.unit = unit
        self.utc_offset_minutes = utc_offset_minutes

    def fit(self, timestamps: ArrayLike, label: ArrayLike | None = None) -> TimestampParts:  # noqa: ARG002 - scikit-learn's form
        """Check the settings. Raises ValueError naming one that is not known, and those that are."""
        for what, given, known in (
            ("part", self.parts, PARTS),
            ("cycle", self.cycles, PERIODS),
            ("unit", (self.unit,), _UNITS),
        ):
            odd = next((name for name in given if name not in known), None)
            if odd is not None:
                raise ValueError(f"no {what} {odd!r}; use {', '.join(known)}")
        if not (len(self.parts) or len(self.cycles)):
            raise ValueError("nothing to compute; name a part or a cycle")
        if not isinstance(self.utc_offset_minutes, int):
            raise ValueError("utc_offset_minutes must be a whole number")  # noqa: TRY004 - settings are values
        self.n_features_in_ = whole(timestamps).shape[1]
        return self

    def transform(self, timestamps: ArrayLike) -> NDArray[np.float64]:
        """Compute the features of raw timestamps."""
        check_is_fitted(self)
        seconds = self.seconds(whole(timestamps))
        made: list[NDArray[Any]] = [_part(name, seconds) for name in self.parts]
        made += [wave[_part(name, seconds)] for name in self.cycles for wave in _waves(name)]
        return np.concatenate([each.astype(np.float64) for each in made], axis=1)

    def seconds(self, timestamps: Number) -> Number:
        """Whole seconds of local time since 1970."""
        return timestamps // _UNITS[self.unit] + 60 * self.utc_offset_minutes

    def get_feature_names_out(self, input_features: Sequence[str]) -> NDArray[np.object_]:
        """field_part, then field_cycle_sin and field_cycle_cos."""
        waves = [f"{cycle}_{wave}" for cycle in self.cycles for wave in ("sin", "cos")]
        names = [f"{field}_{name}" for name in (*self.parts, *waves) for field in input_features]
        return np.array(names, object)


def write_timestamps(graph: Graph, step: TimestampParts, tensor: Tensor) -> str:
    """Append the nodes from int64 timestamps to the features, float32 [rows, features]."""
    seconds = step.seconds(WholeNumbers(graph, tensor.name))
    made = []
    if len(step.parts):
        made.append(graph.cast_float(graph.concat([_part(name, seconds).name for name in step.parts])))
    for name in step.cycles:
        place = _part(name, seconds).name
        made += [graph.add("Gather", graph.constant(wave), place, axis=0) for wave in _waves(name)]
    return graph.concat(made)


def whole(values: ArrayLike) -> NDArray[np.int64]:
    """The values as int64 [rows, fields]; raises ValueError when they are not integers."""
    integers = np.asarray(values)
    if integers.dtype.kind not in "iu":
        raise ValueError(f"integers are needed, not {integers.dtype}; declare the field Kind.INTEGER")
    return integers.astype(np.int64)


def _part(name: str, seconds: Number) -> Number:
    days = seconds // _DAY
    if name == "second_of_day":
        return seconds % _DAY
    if name == "minute_of_day":
        return seconds % _DAY // 60
    if name == "hour":
        return seconds % _DAY // 3_600
    if name == "weekday":
        return (days + 3) % 7  # 1970-01-01 was a Thursday
    if name == "minute_of_week":
        return (seconds + 3 * _DAY) % (7 * _DAY) // 60
    found = look_up(_calendar(name), days % _ERA_DAYS)
    return found + days // _ERA_DAYS * _ERA_YEARS if name == "year" else found


def _calendar(name: str) -> NDArray[np.uint16]:
    """What `name` is on each day of the 400 years from 1970, uint16 [days]."""
    days = np.arange(_ERA_DAYS).astype("datetime64[D]")
    months, years = days.astype("datetime64[M]"), days.astype("datetime64[Y]")
    values: dict[str, NDArray[Any]] = {
        "day": days - months + 1,
        "day_of_year": days - years + 1,
        "month": months.astype(np.int64) % 12 + 1,
        "year": years.astype(np.int64) + 1970,
    }
    found: NDArray[np.uint16] = values[name].astype(np.int64).astype(np.uint16)
    return found


def _waves(name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sine and cosine at every value of the part, each float32 [values]."""
    period = PERIODS[name]
    angle = 2 * np.pi * np.arange(int(period) + 2) / period
    return np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32)
