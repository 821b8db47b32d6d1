"""A default instead of missing: fewer values are missing, and one value has become as much more frequent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.skew.verdict import Suspicion, promising

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from trainer.skew.background import Background
    from trainer.skew.rows import AuditRows

MIN_MISSING = 0.01
"""Share of missing values in the background, below which their absence cannot be seen."""
_LEFT = 0.02  # of the missing values, if a default is put in their place


def defaults(suspect: AuditRows, background: Background, fields: Sequence[int]) -> Iterator[Suspicion]:
    """Of each field that is often missing, the value that may stand for it.

    Any rows have some value more often than others; so each block of right rows is asked for its own one.
    """
    for field in fields:
        right, sent = background.values(field), suspect.values[:, field]
        missing = float(np.isnan(right).mean())
        if missing < MIN_MISSING or np.isnan(sent).all():
            continue
        value = _most_gained(sent, right)
        usual = float((right == value).mean())
        nats = _nats(sent, value, usual, missing, len(right))
        if promising(nats):
            yield Suspicion(
                "default",
                (field,),
                "sent with a default instead of missing",
                nats,
                _right_nats(right, background.block, missing),
                facts={
                    "value": value,
                    "value_usually": usual,
                    "missing": float(np.isnan(sent).mean()),
                    "missing_usually": missing,
                },
                by_hour=True,
            )


def _right_nats(right: NDArray[np.float64], block: NDArray[np.int64], missing: float) -> NDArray[np.float64]:
    nats = np.zeros(len(right))
    for number in range(int(block.max()) + 1):
        here = block == number
        own, rest = right[here], right[~here]
        if not np.isnan(own).all():
            value = _most_gained(own, rest)
            nats[here] = _nats(own, value, float((rest == value).mean()), missing, len(rest))
    return nats


def _most_gained(sent: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    values, counts = np.unique(sent[~np.isnan(sent)], return_counts=True)
    present, usual = np.unique(right[~np.isnan(right)], return_counts=True)
    place = np.minimum(np.searchsorted(present, values), max(len(present) - 1, 0))
    before = np.where(present[place] == values, usual[place], 0) if len(present) else np.zeros(len(values))
    return float(values[np.argmax(counts / len(sent) - before / len(right))])


def _nats(
    values: NDArray[np.float64], value: float, usual: float, missing: float, rows: int
) -> NDArray[np.float64]:
    seldom = max(usual, 0.5 / (rows + 1))
    put = np.log((seldom + missing * (1 - _LEFT)) / seldom)
    return np.where(np.isnan(values), np.log(_LEFT), np.where(values == value, put, 0.0))
