"""A cast: values lie on a coarser grid than they used to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.skew.membership import LEAST_RATE
from trainer.skew.verdict import Suspicion, promising

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from trainer.skew.background import Background
    from trainer.skew.rows import AuditRows

_FLOAT16_MAX = 65_504.0


def _bfloat16(values: NDArray[np.float64]) -> NDArray[np.float64]:
    bits = values.astype(np.float32).view(np.uint32)
    return (bits & np.uint32(0xFFFF_0000)).view(np.float32).astype(np.float64)


def _float16(values: NDArray[np.float64]) -> NDArray[np.float64]:
    fits = np.abs(values) <= _FLOAT16_MAX
    return np.where(fits, np.where(fits, values, 0).astype(np.float16).astype(np.float64), np.nan)


GRIDS: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "whole numbers": np.round,
    "tenths": lambda values: np.round(values, 1),
    "hundredths": lambda values: np.round(values, 2),
    "float16": _float16,
    "bfloat16": _bfloat16,
    "float32": lambda values: values.astype(np.float32).astype(np.float64),
}
"""What each leaves of a value. A number travels as float32 in any case: its grid shows in integers only."""


def casts(suspect: AuditRows, background: Background, fields: Sequence[int]) -> Iterator[Suspicion]:
    """Every grid that the rows lie on more than right rows do."""
    for field in fields:
        sent, right = suspect.values[:, field], background.values(field)
        for grid, onto in GRIDS.items():
            usual = float(_on(right, onto)[~np.isnan(right)].mean()) if (~np.isnan(right)).any() else 1.0
            if usual > 1 - LEAST_RATE:
                continue
            nats = _nats(sent, onto, usual)
            if promising(nats):
                yield Suspicion(
                    "cast",
                    (field,),
                    f"rounded to {grid}",
                    nats,
                    _nats(right, onto, usual),
                    facts={"grid": grid, "on_grid_usually": usual},
                )


def _on(
    values: NDArray[np.float64], onto: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.bool_]:
    # A tenth is no float32; what is meant is the nearest one.
    return np.asarray(onto(values).astype(np.float32) == values.astype(np.float32))


def _nats(
    values: NDArray[np.float64], onto: Callable[[NDArray[np.float64]], NDArray[np.float64]], usual: float
) -> NDArray[np.float64]:
    usual = max(usual, LEAST_RATE)
    on = np.where(_on(values, onto), -np.log(usual), np.log(LEAST_RATE / (1 - usual)))
    return np.where(np.isnan(values), 0.0, on)
