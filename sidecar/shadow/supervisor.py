"""Which candidates score the traffic; offers them rows and collects what they made of them."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from sidecar.bundle import MANIFEST
from sidecar.shadow.candidate import Candidate

if TYPE_CHECKING:
    from sidecar.config import Shadow
    from sidecar.domain import BundleRef, Deployment, ScoreBatch, ServedBatch
    from sidecar.shadow.status import ShadowStatus


class ShadowSupervisor:
    """The candidates of the deployment, each with a worker process of its own.

    For each (row, candidate) offered, `collect` gives exactly one entry, whatever the candidate does. Without
    candidates it does nothing.
    """

    def __init__(self, settings: Shadow) -> None:
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
            if deployment.champion:
                champion = deployment.champion
                self._signatures[champion.model.digest] = _signature_of(champion)
            running = {candidate.model: candidate for candidate in self._candidates}
            candidates = []
            for ref in deployment.candidates:
                kept = running.pop(ref.model, None)
                candidates.append(kept or Candidate(ref, self._settings, self._finished.append))
            self._candidates = tuple(candidates)
            for candidate in running.values():
                candidate.end()
            gone = (*self._leaving, *running.values())
            self._leaving = tuple(candidate for candidate in gone if not candidate.join(0))

    def offer(self, batch: ServedBatch) -> None:
        """Offer rows to each candidate; never waits. Rows that find its queue full are shed."""
        signature = self._signatures.get(batch.model.digest)
        for candidate in self._candidates:
            candidate.offer(batch, signature)

    def collect(self) -> list[ScoreBatch]:
        """What is finished since the last call."""
        return [self._finished.popleft() for _ in range(len(self._finished))]

    def status(self) -> list[ShadowStatus]:
        """How each candidate of the deployment is doing."""
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


def _signature_of(champion: BundleRef) -> str | None:
    """The signature's digest from the manifest, which the engine has checked; None when it cannot be read."""
    try:
        return str(json.loads((champion.path / MANIFEST).read_text())["signature_digest"])
    except (OSError, ValueError, KeyError):
        return None
