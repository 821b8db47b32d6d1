"""The calls of a Portuguese bank, May 2008 to November 2010: who was called when, and what came of it.

Source: bank-full.csv of "Bank Marketing", number 222 in the UCI Machine Learning Repository (CC BY 4.0): one
row a client, as of the last call of a campaign, in order of date. S. Moro, R. Laureano and P. Cortez, Using
Data Mining for Bank Direct Marketing, ESM 2011; S. Moro, P. Cortez and P. Rita, A data-driven approach to
predict the success of bank telemarketing, Decision Support Systems 62, 2014. It is no part of this project.
"""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.drift.scale import DAY_NS
from sidecar.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

SHA256 = "d1513ec63b385506f7cfce9f2c5caa9fe99e7ba4e8c3fa264b3aaf0f849ed32d"
SOURCE = 'bank-full.csv of "Bank Marketing", number 222 in the UCI Machine Learning Repository'
FIRST_YEAR = 2008
NUMBERS, INTEGERS = ("balance",), ("age", "campaign", "pdays", "previous")
TEXTS = ("job", "marital", "education", "default", "housing", "loan", "contact", "poutcome")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, eq=False)
class Calls:
    """One row a call, in order of event_ns (int64, nanoseconds since the epoch).

    columns: raw fields by name: float64, int64 or object (str). label: float64, 1 where the client
    subscribed. turned_back: how many rows the file dates before the row above, in the same month; they are
    taken to be of that row's day.
    """

    columns: Mapping[str, NDArray[Any]]
    label: NDArray[np.float64]
    event_ns: NDArray[np.int64]
    turned_back: int

    def __len__(self) -> int:
        return len(self.label)

    def since(self, moment_ns: int) -> Calls:
        """The calls from then on."""
        rows = slice(int(np.searchsorted(self.event_ns, moment_ns)), None)
        columns = {name: column[rows] for name, column in self.columns.items()}
        return Calls(columns, self.label[rows], self.event_ns[rows], self.turned_back)


def read_calls(file: Path | None, *, sha256: str = SHA256) -> Calls:
    """Read the file, if it is the one meant.

    Left out: `duration`, which nobody knows before the call; and `day` and `month`, which are the date: every
    later month would be new to a model of the first few.
    Raises ConfigError saying where the file is to be had, when it is not given, not there, or another one.
    """
    wanted = f"get {SOURCE}, and name it with --bank-file; its SHA-256 is {sha256}"
    if file is None:
        raise ConfigError(f"the bank's calls are no part of this project: {wanted}")
    if not file.is_file():
        raise ConfigError(f"no file at {file}: {wanted}")
    content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ConfigError(f"{file} is another file, of SHA-256 {found}: {wanted}")
    rows = list(csv.DictReader(io.StringIO(content.decode()), delimiter=";"))
    days, turned_back = _dates(rows)
    columns: dict[str, NDArray[Any]] = {
        **{name: np.array([row[name] for row in rows], np.float64) for name in NUMBERS},
        **{name: np.array([row[name] for row in rows], np.int64) for name in INTEGERS},
        **{name: np.array([row[name] for row in rows], object) for name in TEXTS},
    }
    label = np.array([row["y"] == "yes" for row in rows], np.float64)
    return Calls(columns, label, _spread_over_days(days), turned_back)


def _dates(rows: list[dict[str, str]]) -> tuple[NDArray[np.int64], int]:
    """Each row's day since the epoch, and how many turned back. Where the month does, a year has begun."""
    year, month, day, turned_back = FIRST_YEAR, 0, 0, 0
    dates = []
    for row in rows:
        next_month, next_day = _MONTHS.index(row["month"]) + 1, int(row["day"])
        if next_month < month:
            year += 1
        if next_month == month and next_day < day:
            turned_back += 1
        else:
            month, day = next_month, next_day
        dates.append(f"{year}-{month:02}-{day:02}")
    return np.array(dates, "datetime64[D]").astype(np.int64), turned_back


def _spread_over_days(days: NDArray[np.int64]) -> NDArray[np.int64]:
    """The file has no times: the calls of a day are spread evenly over its 24 hours, in their order."""
    _, first, count = np.unique(days, return_index=True, return_counts=True)
    place = np.arange(len(days)) - np.repeat(first, count)
    return days * DAY_NS + DAY_NS * (2 * place + 1) // (2 * np.repeat(count, count))
