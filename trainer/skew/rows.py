"""Raw rows as the audit sees them: every field a column of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sidecar.signature import Blocks, Signature

NS_PER_HOUR = 3_600 * 10**9
HOURS_PER_DAY = 24


class Vocabulary:
    """Gives each text a number, the same one in whatever field and rows it occurs."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def numbers(self, texts: NDArray[np.object_]) -> NDArray[np.float64]:
        """The texts' numbers; NaN for the empty text, which is a missing one."""
        known = self._numbers
        numbers = [known.setdefault(text, len(known)) if text else np.nan for text in texts.tolist()]
        return np.array(numbers, np.float64)

    def text(self, number: float) -> str:
        """The text with this number."""
        return next(text for text, known in self._numbers.items() if known == number)


@dataclass(frozen=True, eq=False)
class AuditRows:
    """Raw rows in order of event_ns.

    values: float64 [rows, fields of the signature in order], NaN is missing.
    """

    event_ns: NDArray[np.int64]
    client: NDArray[np.object_]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.event_ns)

    def take(self, rows: NDArray[Any]) -> AuditRows:
        """The rows that an index array or mask selects, which must keep their order."""
        return AuditRows(self.event_ns[rows], self.client[rows], self.values[rows])

    def between(self, since_ns: int, until_ns: int) -> AuditRows:
        """The rows with since_ns <= event_ns < until_ns."""
        first, last = np.searchsorted(self.event_ns, [since_ns, until_ns]).tolist()
        return self.take(np.arange(first, last))


def audit_rows(
    signature: Signature,
    vocabulary: Vocabulary,
    blocks: Blocks,
    event_ns: NDArray[np.int64],
    client: NDArray[np.object_],
) -> AuditRows:
    """Put packed rows in order of time, and every field into a column."""
    order = np.argsort(event_ns, kind="stable")
    columns = {
        **dict(zip((each.name for each in signature.numbers), blocks.numbers.T, strict=True)),
        **dict(zip((each.name for each in signature.integers), blocks.integers.T, strict=True)),
        **{
            each.name: vocabulary.numbers(column)
            for each, column in zip(signature.texts, blocks.texts.T, strict=True)
        },
    }
    values = np.empty((len(order), len(signature.fields)))
    for place, each in enumerate(signature.fields):
        values[:, place] = columns[each.name][order]
    return AuditRows(event_ns[order], client[order], values)


def concat(parts: Sequence[AuditRows]) -> AuditRows:
    """All rows of `parts` (at least one), part after part."""
    return AuditRows(
        np.concatenate([part.event_ns for part in parts]),
        np.concatenate([part.client for part in parts]),
        np.concatenate([part.values for part in parts]),
    )
