"""Posts findings to a web address, one JSON object each, in order; tries again, and keeps nobody waiting.

Queue full: the finding is dropped and counted. It stays in the findings file and in the log.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import urllib.error
import urllib.request
from dataclasses import asdict
from typing import TYPE_CHECKING

from sidecar import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.findings import Finding

CAPACITY = 256
"""Findings that wait at most."""
TIMEOUT_SECONDS = 5.0
ATTEMPTS = 4
BACKOFF_SECONDS = 1.0
"""Before the second attempt; doubled for each that follows."""
_REFUSED = range(400, 500)
"""Answers that a second attempt does not change, but for "too many requests"."""
_TOO_MANY = 429
_logger = logging.getLogger(__name__)


class Webhook:
    """One thread that posts. sent, dropped, failed: how many findings ended so."""

    def __init__(self, address: str, backoff_seconds: float = BACKOFF_SECONDS) -> None:
        self._address = address
        self._backoff_seconds = backoff_seconds
        self._queue: queue.Queue[Finding] = queue.Queue(CAPACITY)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self.sent = self.dropped = self.failed = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the attempt in progress; what still waits is not posted."""
        self._stopping.set()
        self._thread.join()

    def post(self, findings: Sequence[Finding]) -> None:
        """Queue findings; never waits."""
        for finding in findings:
            try:
                self._queue.put_nowait(finding)
            except queue.Full:
                self.dropped += 1
                _logger.warning("the webhook's queue is full; not posted: %s", finding.text)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                finding = self._queue.get(timeout=0.2)
            except queue.Empty:
                continue
            self._deliver(finding)

    def _deliver(self, finding: Finding) -> None:
        wait = self._backoff_seconds
        for attempt in range(1, ATTEMPTS + 1):
            error, final = self._attempt(finding)
            if not error:
                self.sent += 1
                return
            if final or attempt == ATTEMPTS or self._stopping.wait(wait):
                break
            wait *= 2
        self.failed += 1
        _logger.error("the webhook did not take a finding: %s", error)

    def _attempt(self, finding: Finding) -> tuple[str, bool]:
        """Post once: the error, "" without one, and whether another attempt would be in vain."""
        request = urllib.request.Request(  # noqa: S310 - config.py lets only http and https through
            self._address,
            data=json.dumps(asdict(finding)).encode(),
            headers={"Content-Type": "application/json", "User-Agent": f"model-sidecar/{__version__}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310 - see above
                return "", False
        except urllib.error.HTTPError as error:
            with error:
                return f"HTTP status {error.code}", error.code in _REFUSED and error.code != _TOO_MANY
        except (OSError, ValueError) as error:
            return str(error), False
