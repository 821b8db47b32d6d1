"""Which models score the traffic in the shadow; offers them rows and collects what they made of them."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from sidecar.bundle import MANIFEST
from sidecar.shadow.candidate import Candidate
from sidecar.shadow.status import Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.config import Shadow
    from sidecar.domain import BundleRef, Deployment, ScoreBatch, ServedBatch
    from sidecar.shadow.status import ShadowStatus


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: its multiples spread evenly (D. E. Knuth, The Art of Computer Programming,
vol. 3, 6.4), so that of any run of inference calls about the share is drawn."""


class ShadowSupervisor:
    """The deployment's candidates and all others in the shadow, each with a worker of its own; see `Role`.

    For each row offered and each of them, `collect` gives exactly one entry, whatever it does, except that
    nobody is offered what it answered itself: only the champion's copy is, and that a share of the champion's
    inference calls. engine: the name of the one that serves the champion; candidates are run as it runs it.
    """

    def __init__(self, engine: str, settings: Shadow) -> None:
        self._engine = engine
        self._settings = settings
        self._finished: deque[ScoreBatch] = deque()
        self._deploying = threading.Lock()
        self._candidates: tuple[Candidate, ...] = ()
        self._leaving: tuple[Candidate, ...] = ()
        self._signatures: dict[str, str | None] = {}

    def deploy(self, deployment: Deployment) -> None:
        """Start the candidates that are new and end those that left; those that stay keep running.

        Rows that wait for a candidate that left become STOPPED. Any thread; does not wait for workers.
        """
        with self._deploying:
            for ref in deployment.answering:
                self._signatures[ref.model.digest] = _signature_of(ref)
            running = {(candidate.model, candidate.role): candidate for candidate in self._candidates}
            candidates = []
            for role, ref in self._roles(deployment):
                kept = running.pop((ref.model, role), None)
                candidates.append(
                    kept or Candidate(ref, role, self._engine, self._settings, self._finished.append)
                )
            self._candidates = tuple(candidates)
            for candidate in running.values():
                candidate.end()
            gone = (*self._leaving, *running.values())
            self._leaving = tuple(candidate for candidate in gone if not candidate.join(0))

    def offer(self, batch: ServedBatch) -> None:
        """Offer rows to each; never waits. Rows that find a queue full are shed."""
        signature = self._signatures.get(batch.model.digest)
        for candidate in self._candidates:
            own = candidate.model == batch.model
            if own != (candidate.role is Role.COPY):
                continue  # the copy is offered the champion's own rows, and everybody else those of others
            if candidate.role is not Role.COPY:
                candidate.offer(batch, signature)
                continue
            drawn = drawn_calls(batch.group, self._settings.copy_share)
            if drawn.any():
                candidate.offer(batch.take(drawn), signature)

    def collect(self) -> list[ScoreBatch]:
        """What is finished since the last call."""
        return [self._finished.popleft() for _ in range(len(self._finished))]

    def status(self) -> list[ShadowStatus]:
        """How each of them is doing."""
        return [candidate.status() for candidate in self._candidates]

    def stop(self, grace_seconds: float) -> list[ScoreBatch]:
        """Let the workers finish for `grace_seconds` together, then end them; give what is left to collect.

        Offer no rows during the call. Those that are offered later become STOPPED.
        """
        with self._deploying:
            deadline = time.monotonic() + grace_seconds
            for candidate in self._candidates:
                candidate.drain()
            for candidate in self._candidates:
                candidate.join(max(0.0, deadline - time.monotonic()))
            for candidate in self._candidates:
                candidate.end()
            for candidate in (*self._candidates, *self._leaving):
                candidate.join()
        return self.collect()

    def _roles(self, deployment: Deployment) -> list[tuple[Role, BundleRef]]:
        roles = [(Role.CANDIDATE, ref) for ref in deployment.candidates]
        if deployment.champion and deployment.canary:
            roles += [(Role.CANARY, deployment.canary.ref), (Role.CHAMPION, deployment.champion)]
        if deployment.standby:
            roles.append((Role.STANDBY, deployment.standby))
        if deployment.champion and self._settings.copy_share:
            roles.append((Role.COPY, deployment.champion))
        return roles


def drawn_calls(group: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Which rows belong to a drawn inference call: about `share` of all calls, evenly spread over them.

    >>> drawn_calls(np.arange(1_000), 0.01).sum()
    np.int64(10)
    """
    spread = group.astype(np.uint64) * _GOLDEN
    return np.asarray(spread < np.uint64(min(share * 2.0**64, 2.0**64 - 2.0**11)))


def _signature_of(champion: BundleRef) -> str | None:
    """The signature's digest from the manifest, which the engine has checked; None when it cannot be read."""
    try:
        return str(json.loads((champion.path / MANIFEST).read_text())["signature_digest"])
    except (OSError, ValueError, KeyError):
        return None
