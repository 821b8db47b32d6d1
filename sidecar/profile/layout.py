"""Which slots a profile counts in: for every subject (a raw field, the score, the decision) a run of them.

A number has the slots below, one for each bin, above, missing; bin i holds the values above bounds[i] up to
bounds[i + 1]. A text has one for each known category, then rare, unseen, missing. The decision has pass and
act. All slots lie in one flat vector, so that profiles are added, stored and compared as single arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.session import DECISION

if TYPE_CHECKING:
    from numpy.typing import NDArray


AROUND_BINS = 3
"""Slots of a number beside its bins: below, above, missing."""
BESIDE_CATEGORIES = 3
"""Slots of a text beside its known categories: rare, unseen, missing."""


@dataclass(frozen=True, eq=False)
class Number:
    """A number, an integer or the score.

    bounds: float32, or int64 for an integer, [bins + 1], increasing. The first lies just below the least
    value of the training rows, the last is their greatest. An infinity would count as below or above.
    """

    name: str
    bounds: NDArray[Any]
    unit: str = ""

    @property
    def slots(self) -> int:
        """How many there are."""
        return len(self.bounds) - 1 + AROUND_BINS


@dataclass(frozen=True, eq=False)
class Text:
    """A text field. categories: counted one by one. rare: seen in training, counted together."""

    name: str
    categories: tuple[str, ...]
    rare: tuple[str, ...] = ()

    @property
    def slots(self) -> int:
        """How many there are."""
        return len(self.categories) + BESIDE_CATEGORIES

    @cached_property
    def slot_of(self) -> dict[str, int]:
        """The slot of each text that is no news; what is not in it is unseen."""
        known = {text: slot for slot, text in enumerate(self.categories)}
        return {
            **dict.fromkeys(self.rare, len(known)),
            **known,
            "": len(known) + 2,
        }


@dataclass(frozen=True, eq=False)
class Decision:
    """Whether the champion acted."""

    name: str = DECISION
    slots: int = 2


Subject = Number | Text | Decision


@dataclass(frozen=True, eq=False)
class Layout:
    """Subjects in order: numbers, integers, texts (each as in the signature), score, decision."""

    numbers: tuple[Number, ...]
    integers: tuple[Number, ...]
    texts: tuple[Text, ...]
    score: Number

    @cached_property
    def subjects(self) -> tuple[Subject, ...]:
        """All of them."""
        return (*self.numbers, *self.integers, *self.texts, self.score, Decision())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        numbers = (field.name for field in (*self.numbers, *self.integers))
        return (*numbers, *(field.name for field in self.texts), self.score.name, DECISION)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """The first slot of each subject."""
        return np.cumsum([0, *(subject.slots for subject in self.subjects[:-1])])

    @cached_property
    def slots(self) -> int:
        """How many slots all subjects have together."""
        return sum(subject.slots for subject in self.subjects)

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """The index of the subject that each slot belongs to."""
        return np.repeat(np.arange(len(self.subjects)), [subject.slots for subject in self.subjects])

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """Which slots count missing values."""
        return self._ending(Number, -1) | self._ending(Text, -1)

    @cached_property
    def outside(self) -> NDArray[np.bool_]:
        """Which slots count what training never saw: below, above, unseen."""
        found = self._ending(Number, -2) | self._ending(Text, -2)
        for start, subject in zip(self.starts.tolist(), self.subjects, strict=True):
            if isinstance(subject, Number):
                found[start] = True
        return found

    @cached_property
    def numeric(self) -> NDArray[np.bool_]:
        """Which subjects are numbers."""
        return np.array([isinstance(subject, Number) for subject in self.subjects])

    def index(self, name: str) -> int:
        """The place of the subject of this name."""
        return self.names.index(name)

    def _ending(self, kind: type[Number | Text], place: int) -> NDArray[np.bool_]:
        """The slots at `place`, counted from the end, of all subjects of a kind."""
        found = np.zeros(self.slots, bool)
        ends = self.starts + [subject.slots for subject in self.subjects]
        for end, subject in zip(ends.tolist(), self.subjects, strict=True):
            if isinstance(subject, kind):
                found[end + place] = True
        return found


def bounds_of(values: NDArray[Any], bins: int) -> NDArray[Any]:
    """Bounds of at most `bins` bins, equally full as far as ties allow; values: present ones, any order.

    Of no values at all, those of a field that is always 0.
    """
    if not len(values):
        values = np.zeros(1, values.dtype)
    # "inverted_cdf" gives bounds that are values themselves, so that ties fall on one side of them.
    upper = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:], method="inverted_cdf"))
    least = values.min()
    if values.dtype == np.int64:
        lowest = least - 1 if least > np.iinfo(np.int64).min else least
    else:
        lowest = np.nextafter(least, values.dtype.type(-np.inf))
    return np.concatenate([[lowest], upper]).astype(values.dtype)
