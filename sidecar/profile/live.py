"""Counts the rows that the champion answers, window by window. Nothing here can hold up a reply."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sidecar.bundle import open_bundle
from sidecar.drift.scale import SCALES
from sidecar.profile.profile import Profile, count_rows
from sidecar.profile.reference import Reference, read_reference
from sidecar.signature import Blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sidecar.domain import ServedBatch

_GATHERED_ROWS = 4096
"""Rows that are counted together: half the cost for each row that 1,000 at a time have."""
_ANSWERING = 2
"""Models that answer at a time, a champion and its canary: to read a reference, all of a bundle is read."""
_logger = logging.getLogger(__name__)


class Counted(NamedTuple):
    """Profiles by (model's digest, start of the window)."""

    windows: dict[tuple[str, int], Profile]
    references: dict[str, Reference]


class LiveProfiles:
    """What the recorder counts and the drift monitor takes.

    find: the folder of the bundle with a digest. Rows of a model without a training profile are not counted.
    """

    def __init__(self, find: Callable[[str], Path]) -> None:
        self._find = find
        self._references: dict[str, Reference | None] = {}
        self._gathered: list[ServedBatch] = []
        self._rows = 0
        self._windows: dict[tuple[str, int], Profile] = {}
        self._busy = threading.Lock()

    def count(self, batches: Sequence[ServedBatch]) -> None:
        """Take rows in; counts them once enough are gathered."""
        with self._busy:
            self._gathered += batches
            self._rows += sum(map(len, batches))
            if self._rows >= _GATHERED_ROWS:
                self._count()

    def take(self) -> Counted:
        """Everything counted since the last call, and the references of the models that it is of."""
        with self._busy:
            self._count()
            windows, self._windows = self._windows, {}
            counted = {model for model, _ in windows}
            references = {
                model: found
                for model, found in self._references.items()
                if found is not None and model in counted
            }
            self._forget()
        return Counted(windows, references)

    def _count(self) -> None:
        gathered, self._gathered, self._rows = self._gathered, [], 0
        by_model: dict[str, list[ServedBatch]] = {}
        for batch in gathered:
            by_model.setdefault(batch.model.digest, []).append(batch)
        for model, batches in by_model.items():
            reference = self._reference(model)
            if reference is not None:
                self._add(model, reference, batches)

    def _forget(self) -> None:
        """Let go of former models' references; that one cannot be read is remembered, and told once."""
        read = [model for model, found in self._references.items() if found is not None]
        for model in read[:-_ANSWERING]:
            del self._references[model]

    def _add(self, model: str, reference: Reference, batches: Sequence[ServedBatch]) -> None:
        blocks = Blocks.concat([batch.blocks for batch in batches])
        score = np.concatenate([batch.score for batch in batches])
        decision = np.concatenate([batch.decision for batch in batches])
        length_ns = SCALES[0].length_ns
        starts = np.concatenate([batch.event_ns for batch in batches]) // length_ns * length_ns
        for start_ns in np.unique(starts).tolist():
            rows = starts == start_ns
            key = (model, start_ns)
            counted = count_rows(reference.layout, blocks.take(rows), score[rows], decision[rows])
            self._windows[key] = self._windows[key] + counted if key in self._windows else counted

    def _reference(self, model: str) -> Reference | None:
        found = self._references.pop(model) if model in self._references else self._read(model)
        self._references[model] = found  # in the order in which they were last counted
        return found

    def _read(self, model: str) -> Reference | None:
        try:
            bundle = open_bundle(self._find(model))
            return read_reference(bundle.path, bundle.signature)
        except Exception:  # whatever is wrong with it, serving and recording go on
            _logger.exception(
                "the training profile of %s cannot be read; its traffic is not counted", model[:8]
            )
            return None


class NoProfiles:
    """Counts nothing, for when drift is not watched."""

    def count(self, batches: Sequence[ServedBatch]) -> None:
        """Leave them."""
