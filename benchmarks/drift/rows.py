"""The synthetic rows that all monitors see. numpy only: peers import this in environments of their own.

Thirty features: ten normal numbers, five lognormal, five whole; ten texts of 3 to 50 categories. 5 % of the
numbers are missing and 2 % of the texts. Every stretch of rows has a seed of its own, so that each monitor
can make the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

NUMBERS = tuple(f"n{place}" for place in range(20))
TEXTS = tuple(f"t{place}" for place in range(10))
LOGNORMAL, WHOLE = slice(10, 15), slice(15, 20)
SIZES = (3, 4, 5, 6, 8, 10, 15, 20, 30, 50)
NUMBERS_MISSING, TEXTS_MISSING = 0.05, 0.02
REFERENCE_ROWS = 100_000
SEED = 20_261_126
_SHARES = tuple(np.random.default_rng(SEED + size).dirichlet(np.full(size, 2.0)) for size in SIZES)
_NAMES = tuple(np.array([f"c{code}" for code in range(size)], object) for size in SIZES)


@dataclass(eq=False)
class Rows:
    """numbers: float32 [n, 20], NaN for missing. texts: object [n, 10], "" for missing."""

    numbers: NDArray[np.float32]
    texts: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.numbers)


def draw(rows: int, *seed: int) -> Rows:
    """Rows of the reference's distribution; the same seed gives the same rows."""
    rng = np.random.default_rng([SEED, *seed])
    numbers = rng.standard_normal((rows, len(NUMBERS)), np.float32)
    numbers[:, LOGNORMAL] = np.exp(numbers[:, LOGNORMAL])
    numbers[:, WHOLE] = np.round(numbers[:, WHOLE] * 3)
    numbers[rng.random(numbers.shape, np.float32) < NUMBERS_MISSING] = np.nan
    texts = np.empty((rows, len(TEXTS)), object)
    for place, (names, shares) in enumerate(zip(_NAMES, _SHARES, strict=True)):
        reached = np.cumsum(shares)
        codes = np.searchsorted(reached, rng.random(rows) * reached[-1])
        texts[:, place] = names[np.minimum(codes, len(names) - 1)]
    texts[rng.random(texts.shape, np.float32) < TEXTS_MISSING] = ""
    return Rows(numbers, texts)


def reference() -> Rows:
    """The training rows."""
    return draw(REFERENCE_ROWS, 0)


def null_window(rows: int, number: int) -> Rows:
    """One of the windows in which nothing has changed."""
    return draw(rows, 1, rows, number)


def _thousandfold(rows: Rows, _: np.random.Generator) -> None:
    rows.numbers[:, 0] *= 1000


def _new_category(rows: Rows, rng: np.random.Generator) -> None:
    rows.texts[rng.random(len(rows)) < 0.02, 4] = "new"  # noqa: PLR2004 - what the bar names


def _missing(share: float) -> Callable[[Rows, np.random.Generator], None]:
    """As many more as make the share of all rows `share`."""

    def change(rows: Rows, rng: np.random.Generator) -> None:
        more = (share - NUMBERS_MISSING) / (1 - NUMBERS_MISSING)
        rows.numbers[rng.random(len(rows)) < more, 1] = np.nan

    return change


def _swapped(rows: Rows, _: np.random.Generator) -> None:
    """Two categories of the six change places."""
    column = rows.texts[:, 3]
    order = np.argsort(_SHARES[3])
    least, most = _NAMES[3][order[1]], _NAMES[3][order[-1]]
    rows.texts[:, 3] = np.where(column == least, most, np.where(column == most, least, column))


def _shifted(rows: Rows, _: np.random.Generator) -> None:
    rows.numbers[:, 2] += np.float32(0.1)


@dataclass(frozen=True)
class Change:
    """A planted change. bar: the least share of windows in which it must be found; None is not asked for."""

    name: str
    feature: str
    rows: int
    change: Callable[[Rows, np.random.Generator], None]
    bar: float | None

    def window(self, number: int) -> Rows:
        """A window in which it has happened."""
        seed = (2, self.rows, (*CHANGES, *LOW_TRAFFIC_CHANGES).index(self), number)
        rows = draw(self.rows, *seed)
        self.change(rows, np.random.default_rng([SEED, *seed, 1]))
        return rows


CHANGES = (
    Change("one number times 1000", "n0", 500, _thousandfold, 0.99),
    Change("2 % of a new category", "t4", 500, _new_category, 0.99),
    Change("missing, 5 % to 20 %", "n1", 500, _missing(0.20), 0.99),
    Change("missing, 5 % to 8 %", "n1", 2000, _missing(0.08), 0.95),
    Change("two categories swapped", "t3", 2000, _swapped, 0.95),
    Change("mean moved 0.1 sd", "n2", 2000, _shifted, 0.70),
    Change("mean moved 0.1 sd", "n2", 10_000, _shifted, 0.99),
)
LOW_TRAFFIC = (2, 13, 40)
"""Rows a day: of four weeks just enough, what a bank has, and of weeks just too few."""
FOUR_WEEKS = 400
LOW_TRAFFIC_CHANGES = (
    Change("one number times 1000", "n0", 28 * 13, _thousandfold, None),
    Change("2 % of a new category", "t4", 28 * 13, _new_category, None),
    Change("missing, 5 % to 20 %", "n1", 28 * 13, _missing(0.20), None),
    Change("two categories swapped", "t3", 28 * 13, _swapped, None),
    Change("mean moved 0.1 sd", "n2", 28 * 13, _shifted, None),
)
NULL_ROWS = (500, 2000, 10_000)
NULL_WINDOWS = 400


def cyclic_hour(hour: int) -> Rows:
    """Traffic of one hour with a daily and a weekly cycle; hour 0 begins a Monday, negative ones lie before.

    At night there is a fifth of the rows. A third of the numbers move with the hour and at weekends, the
    share of missing values doubles at night, and two texts have another mix by day and at weekends.
    """
    day, week = np.sin(2 * np.pi * hour / 24), 1.0 if hour // 24 % 7 >= 5 else 0.0  # noqa: PLR2004 - Saturday
    seed = (3, hour + 1_000_000)
    rows = draw(int(600 * (1 + 0.66 * day)), *seed)
    rng = np.random.default_rng([SEED, *seed, 1])
    rows.numbers[:, :7] += np.float32(0.5 * day + 0.4 * week)
    night = rng.random(len(rows)) < NUMBERS_MISSING * max(0.0, -day)
    rows.numbers[night, 8] = np.nan
    for place in (2, 6):
        other = rng.random(len(rows)) < 0.2 * max(0.0, day) + 0.1 * week
        rows.texts[other, place] = _NAMES[place][0]
    return rows


CYCLE_DAYS = 200
CYCLE_TRAINING_DAYS = 56
