"""The nouns. Frozen when made; everything imports inward from here.

Rows travel in columns: one `ServedBatch` holds many answered requests as arrays, because a Python object
for each row would cost more than the row is worth. Times are nanoseconds: `*_ns` of events since the Unix
epoch, durations of a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from sidecar.signature import Blocks


@dataclass(frozen=True, slots=True)
class ModelId:
    """Which model, to the byte: the task's name, the version's name, the bundle's SHA-256 in hex."""

    name: str
    version: str
    digest: str

    def __str__(self) -> str:
        return f"{self.name}/{self.version}@{self.digest[:8]}"


def to_ids(texts: Sequence[str]) -> NDArray[np.bytes_]:
    """Request ids, which are visible ASCII, as an array of bytes; no Python object for each."""
    return np.array(texts, np.bytes_)


def to_texts(ids: NDArray[np.bytes_]) -> list[str]:
    """The inverse of `to_ids`."""
    texts: list[str] = ids.astype(np.str_).tolist()
    return texts


@dataclass(frozen=True, slots=True, eq=False)
class ServedBatch:
    """Rows that one champion answered, in the order they were answered.

    request_ids: bytes (S) [n], see `to_ids`. client: object (str) [n], who sent the row and in which version;
    "" where the caller does not say. group: int64 [n], equal for rows that ran in one inference call, so that
    a shadow can score them alike.
    blocks: the raw fields; `coded`, where it is known, has no text that no row has.
    features: float32 [n, features]; score: float32 [n]; decision: bool [n], what the rule said.
    propensity: float32 [n], the chance that the reply took the action it did; where it is below a half the
    reply took the other action than the rule's (see `sidecar.exploration`).
    queue_ns, failed_ns, infer_ns, cpu_ns: int64 [n]; failed_ns is what a canary's runs took that failed
    before the one that gave the answer, 0 where none did; infer_ns and cpu_ns are those of the whole
    inference call the row was part of, on the wall clock and on the thread's CPU clock.
    """

    model: ModelId
    request_ids: NDArray[np.bytes_]
    client: NDArray[np.object_]
    received_ns: NDArray[np.int64]
    event_ns: NDArray[np.int64]
    group: NDArray[np.int64]
    blocks: Blocks
    features: NDArray[np.float32]
    score: NDArray[np.float32]
    decision: NDArray[np.bool_]
    propensity: NDArray[np.float32]
    queue_ns: NDArray[np.int64]
    failed_ns: NDArray[np.int64]
    infer_ns: NDArray[np.int64]
    cpu_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.request_ids)

    def take(self, rows: NDArray[np.bool_]) -> ServedBatch:
        """The rows of a mask."""
        return ServedBatch(
            model=self.model,
            request_ids=self.request_ids[rows],
            client=self.client[rows],
            received_ns=self.received_ns[rows],
            event_ns=self.event_ns[rows],
            group=self.group[rows],
            blocks=self.blocks.take(rows).with_used_texts(),
            features=self.features[rows],
            score=self.score[rows],
            decision=self.decision[rows],
            propensity=self.propensity[rows],
            queue_ns=self.queue_ns[rows],
            failed_ns=self.failed_ns[rows],
            infer_ns=self.infer_ns[rows],
            cpu_ns=self.cpu_ns[rows],
        )


class Failure(StrEnum):
    """Why a candidate has no score for a row. A failure is data, never an exception in flight."""

    NONE = ""
    RAISED = "raised"
    """The candidate's graph ended with an error, or gave a score that is not a number."""
    CRASHED = "crashed"
    """The candidate's process died while it worked on the row."""
    TIMED_OUT = "timed_out"
    """The candidate was killed because it took too long over the row."""
    SHED = "shed"
    """The candidate's queue was full, so the row was not offered to it."""
    QUARANTINED = "quarantined"
    """The candidate crashed too often and is no longer run."""
    STOPPED = "stopped"
    """The shadow ended (shutdown, or the candidate left) before the row's turn came."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoreBatch:
    """What one candidate made of rows the champion answered: exactly one entry for each row offered.

    request_ids: bytes (S) [n]. failures: what befell rows, each with one short text, "" without failure;
    failure_rows: int64 [n], which of them befell each row. Where it is not NONE, score is NaN, decision False
    and both times 0.
    """

    model: ModelId
    champion: ModelId
    request_ids: NDArray[np.bytes_]
    score: NDArray[np.float32]
    decision: NDArray[np.bool_]
    infer_ns: NDArray[np.int64]
    cpu_ns: NDArray[np.int64]
    failures: tuple[tuple[Failure, str], ...]
    failure_rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.request_ids)

    @property
    def failure(self) -> list[Failure]:
        """One a row."""
        return [self.failures[which][0] for which in self.failure_rows.tolist()]

    @property
    def detail(self) -> list[str]:
        """One a row."""
        return [self.failures[which][1] for which in self.failure_rows.tolist()]

    @classmethod
    def concat(cls, parts: Sequence[ScoreBatch]) -> ScoreBatch:
        """All rows of `parts` (at least one, all of the same two models), in order."""
        if len(parts) == 1:
            return parts[0]
        failures = tuple(dict.fromkeys(failure for part in parts for failure in part.failures))
        of_part = [part.failure_rows for part in parts]
        if len(failures) > 1:
            place = {failure: number for number, failure in enumerate(failures)}
            of_part = [
                np.array([place[failure] for failure in part.failures])[part.failure_rows] for part in parts
            ]
        return cls(
            model=parts[0].model,
            champion=parts[0].champion,
            request_ids=np.concatenate([part.request_ids for part in parts]),
            score=np.concatenate([part.score for part in parts]),
            decision=np.concatenate([part.decision for part in parts]),
            infer_ns=np.concatenate([part.infer_ns for part in parts]),
            cpu_ns=np.concatenate([part.cpu_ns for part in parts]),
            failures=failures,
            failure_rows=np.concatenate(of_part),
        )

    @classmethod
    def failed(
        cls, model: ModelId, champion: ModelId, request_ids: NDArray[np.bytes_], why: Failure, detail: str
    ) -> ScoreBatch:
        """A batch in which every row has the same failure."""
        rows = len(request_ids)
        return cls(
            model=model,
            champion=champion,
            request_ids=request_ids,
            score=np.full(rows, np.nan, np.float32),
            decision=np.zeros(rows, bool),
            infer_ns=np.zeros(rows, np.int64),
            cpu_ns=np.zeros(rows, np.int64),
            failures=((why, detail),),
            failure_rows=np.zeros(rows, np.int64),
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What really happened after a prediction.

    label: 1 when the predicted event happened, else 0. value: money it moved, where known.
    observed_ns: when the label became known; a later one for the same request is a correction.
    """

    request_id: str
    label: float
    value: float | None
    observed_ns: int


@dataclass(frozen=True, slots=True)
class OutcomeReceipt:
    """How a call's outcomes were taken: newly stored, already known, and in conflict (by request_id)."""

    stored: int
    duplicates: int
    conflicts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BundleRef:
    """A model and the folder its bundle lies in."""

    model: ModelId
    path: Path


@dataclass(frozen=True, slots=True)
class Canary:
    """A candidate that answers a part of the calls; see `sidecar.canary` for how they are drawn.

    share: above 0, below 1. by: the text or integer field whose values are drawn; None for the calls' ids.
    """

    ref: BundleRef
    share: float
    by: str | None = None

    @property
    def words(self) -> str:
        """What it answers, as a person says it."""
        return part_words(self.share, self.by)


def part_words(share: float, by: str | None) -> str:
    """A part of the calls, and what they are drawn by, as a person says it."""
    return f"{share:.2%} of the calls, drawn by {by or 'their ids'}"


@dataclass(frozen=True, slots=True)
class Deployment:
    """What serves. Replaced whole, never edited; the generation grows with every change.

    candidates: those that answer nothing. standby: the former champion, while the new one is on probation.
    canary: the candidate that answers a part of the calls in the champion's place.
    """

    generation: int
    champion: BundleRef | None
    candidates: tuple[BundleRef, ...] = ()
    standby: BundleRef | None = None
    canary: Canary | None = None

    @property
    def answering(self) -> tuple[BundleRef, ...]:
        """All that answer calls: the champion and the canary."""
        champion = () if self.champion is None else (self.champion,)
        return champion if self.canary is None else (*champion, self.canary.ref)

    @property
    def shadows(self) -> tuple[BundleRef, ...]:
        """All that score what the champion answers: the candidates, the canary and the standby."""
        canary = () if self.canary is None else (self.canary.ref,)
        standby = () if self.standby is None else (self.standby,)
        return (*self.candidates, *canary, *standby)


NOTHING_DEPLOYED = Deployment(generation=0, champion=None)
