"""What a decision is worth, in money: the business metric that everything else is judged by.

A cost table has one amount for each cell (acted or passed, positive or negative label). An amount may depend
on the record, so that a decision about a large stake counts for more than one about a small stake.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from sidecar.canonical_json import json_digest
from sidecar.signature import Kind, Outside

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.signature import Blocks, Signature


@dataclass(frozen=True)
class Amount:
    """Money that depends on the record: constant + the sum of per[f] * f over number fields f.

    missing: what a missing field f counts as; needed for every field of `per` that may be missing.
    Raises ValueError for a figure that is not finite, or a `missing` entry that `per` does not use.
    """

    constant: float = 0.0
    per: Mapping[str, float] = field(default_factory=dict)
    missing: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Floats throughout, so that 100 and 100.0 have one digest.
        object.__setattr__(self, "constant", float(self.constant))
        object.__setattr__(self, "per", {name: float(weight) for name, weight in self.per.items()})
        object.__setattr__(self, "missing", {name: float(value) for name, value in self.missing.items()})
        if not all(map(math.isfinite, (self.constant, *self.per.values(), *self.missing.values()))):
            raise ValueError(f"{self} has a figure that is not finite")
        unused = self.missing.keys() - self.per.keys()
        if unused:
            raise ValueError(f"an amount says what missing '{min(unused)}' counts as, but does not use it")

    def of(self, signature: Signature, numbers: NDArray[np.float32]) -> NDArray[np.float64]:
        """The money of each row, float64 [n]; numbers: float32 [n, number fields] as `usable` gives them."""
        money = np.full(len(numbers), self.constant)
        for name, weight in self.per.items():
            column = numbers[:, number_column(signature, name)].astype(np.float64)
            if name in self.missing:
                column = np.where(np.isnan(column), self.missing[name], column)
            money += weight * column
        return money


@dataclass(frozen=True)
class CostTable:
    """Money for each cell of decision and label, gains positive and losses negative.

    act_*: the decision was taken; pass_*: it was not. version names the table for people; its digest names
    it for machines. largest_loss: the most that one decision can lose against the other; where the cells are
    constants, or depend on fields whose limits the signature gives, it need not be said (see `row_bound`).
    A gain over the other decision counts up to it; a loss always counts in full. cpu_second: what a second of
    CPU time costs, so that a cheaper model earns the difference.
    Raises ValueError for a figure out of range.
    """

    act_positive: Amount
    act_negative: Amount
    pass_positive: Amount
    pass_negative: Amount
    currency: str
    version: str
    largest_loss: float | None = None
    cpu_second: float = 0.0

    def __post_init__(self) -> None:
        if self.largest_loss is not None:
            object.__setattr__(self, "largest_loss", float(self.largest_loss))
            if not 0 < self.largest_loss < math.inf:
                raise ValueError("costs: largest_loss must be money above 0")
        object.__setattr__(self, "cpu_second", float(self.cpu_second))
        if not 0 <= self.cpu_second < math.inf:
            raise ValueError("costs: cpu_second must be 0 or more")

    @property
    def amounts(self) -> tuple[Amount, Amount, Amount, Amount]:
        """The four cells: act_positive, act_negative, pass_positive, pass_negative."""
        return self.act_positive, self.act_negative, self.pass_positive, self.pass_negative

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of the canonical JSON of the table."""
        return json_digest(self.to_json())

    def utility(
        self,
        signature: Signature,
        blocks: Blocks,
        decision: NDArray[np.bool_],
        label: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Money earned by each decision, float64 [n].

        decision: bool [n]. label: float64 [n], 0 or 1. Raises ValueError for any other label, because an
        outcome that is not known yet has no utility.
        """
        if not np.isin(label, (0.0, 1.0)).all():
            raise ValueError("utility needs labels that are 0 or 1; leave out rows without an outcome")
        numbers = usable(signature, blocks)
        act_positive, act_negative, pass_positive, pass_negative = (
            amount.of(signature, numbers) for amount in self.amounts
        )
        acted = np.where(label == 1, act_positive, act_negative)
        passed = np.where(label == 1, pass_positive, pass_negative)
        return np.where(decision, acted, passed)

    def stakes(self, signature: Signature, blocks: Blocks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What acting earns over passing, for positive and for negative labels: two float64 [n]."""
        numbers = usable(signature, blocks)
        act_positive, act_negative, pass_positive, pass_negative = (
            amount.of(signature, numbers) for amount in self.amounts
        )
        return act_positive - pass_positive, act_negative - pass_negative

    def row_bound(self, signature: Signature) -> float:
        """The most that one decision can lose against the other: as declared, or as the fields' limits allow.

        Raises ValueError naming the field without limits when it is neither.
        """
        if self.largest_loss is not None:
            return self.largest_loss
        spans = [
            _span(act, skip, signature) for act, skip in zip(self.amounts[:2], self.amounts[2:], strict=True)
        ]
        return max(abs(end) for span in spans for end in span)

    def check(self, signature: Signature) -> None:
        """Raise ValueError naming the first field that the table uses and the signature cannot give it."""
        for amount in self.amounts:
            for name in amount.per:
                known = signature.by_name.get(name)
                if known is None or known.kind is not Kind.NUMBER:
                    raise ValueError(f"costs use '{name}', which is not a number field of the signature")
                if known.missing_allowed and name not in amount.missing:
                    raise ValueError(f"costs use '{name}', which may be missing; say what it then counts as")
        self.row_bound(signature)

    def to_json(self) -> dict[str, Any]:
        """The table as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        parts: dict[str, Any] = {
            name: Amount(**cell) if isinstance(cell, Mapping) else cell for name, cell in data.items()
        }
        return cls(**parts)


def _span(act: Amount, skip: Amount, signature: Signature) -> tuple[float, float]:
    """The least and the most that acting can earn over passing, on any record that the signature allows."""
    low = high = act.constant - skip.constant
    for name in act.per.keys() | skip.per.keys():
        field_ = signature.by_name[name]
        if field_.lower is None or field_.upper is None:
            raise ValueError(
                f"costs use '{name}', which has no lower and upper limit; give it both, or the table its "
                "largest_loss"
            )
        ends = [
            act.per.get(name, 0.0) * (act.missing.get(name, value) if lacking else value)
            - skip.per.get(name, 0.0) * (skip.missing.get(name, value) if lacking else value)
            for value in (field_.lower, field_.upper)
            for lacking in {False, field_.missing_allowed}
        ]
        low, high = low + min(ends), high + max(ends)
    return low, high


def number_column(signature: Signature, name: str) -> int:
    """The column of number field `name` in the numbers block."""
    return next(column for column, known in enumerate(signature.numbers) if known.name == name)


def usable(signature: Signature, blocks: Blocks) -> NDArray[np.float32]:
    """The numbers as the exported graph uses them: outside the bounds counts as missing where so declared."""
    numbers = blocks.numbers
    for column, known in enumerate(signature.numbers):
        if known.outside is not Outside.MISSING:
            continue
        values = numbers[:, column]
        wrong = np.zeros(len(values), bool)
        if known.lower is not None:
            wrong |= values < np.float32(known.lower)
        if known.upper is not None:
            wrong |= values > np.float32(known.upper)
        if wrong.any():
            numbers = numbers.copy() if numbers is blocks.numbers else numbers
            numbers[wrong, column] = np.nan
    return numbers
