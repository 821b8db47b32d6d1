"""Watches the champion's traffic: stores what was counted, looks at each window that ends, tells what it saw.

A thread of the sidecar, behind everything. A look takes a few milliseconds of arithmetic on counts.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidecar.drift.naming import MONITOR, name_findings
from sidecar.drift.scale import SCALES, history_ns
from sidecar.drift.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sidecar.config import Drift
    from sidecar.domain import BundleRef
    from sidecar.findings import Finding, FindingStore
    from sidecar.profile.live import LiveProfiles
    from sidecar.profile.reference import Reference
    from sidecar.profile.store import ProfileStore

CHECK_SECONDS = 2.0
"""Between two looks whether a window has ended. When the process is killed, so much of what was counted is
lost."""
QUIET_SECONDS = 60.0
"""Without a row for so long, the window that the clock has left behind is taken to have ended too."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LastLook:
    """The newest window that was looked at. model: its digest. stability: PSI by subject."""

    model: str
    end_ns: int
    rows: int
    stability: Mapping[str, float]


@dataclass(slots=True)
class _Watched:
    """A model that serves: its watch, and the start of the next window to look at."""

    watch: Watch
    importance: Mapping[str, float]
    next_ns: int
    found: list[Finding] = field(default_factory=list)


class DriftMonitor:
    """One thread. tell: given findings that are new; must not wait.

    champion: which model serves now. importance: of the raw fields of the model with a digest.
    """

    def __init__(
        self,
        live: LiveProfiles,
        profiles: ProfileStore,
        findings: FindingStore,
        settings: Drift,
        *,
        champion: Callable[[], BundleRef | None],
        importance: Callable[[str], Mapping[str, float]],
        tell: Callable[[Sequence[Finding]], None],
        writer: str,
    ) -> None:
        self._live = live
        self._profiles = profiles
        self._findings = findings
        self._settings = settings
        self._champion = champion
        self._importance = importance
        self._tell = tell
        self._writer = writer
        self._references: dict[str, Reference] = {}
        self._watched: dict[str, _Watched] = {}
        self._heard = time.monotonic()
        self._last_look: LastLook | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drift", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Store what was counted, and end; stop the recorder before."""
        self._stopping.set()
        self._thread.join()

    def last_look(self) -> LastLook | None:
        """None before the first; called by any thread."""
        return self._last_look

    def _run(self) -> None:
        while not self._stopping.wait(CHECK_SECONDS):
            self._step()
        self._step()

    def _step(self) -> None:
        try:
            self._store()
            self._look()
        except Exception:  # whatever it was, the next window must still be looked at
            _logger.exception("the traffic was not compared as it should be")

    def _store(self) -> None:
        counted = self._live.take()
        if counted.windows:
            self._heard = time.monotonic()
            self._references |= counted.references
            layouts = {model: reference.layout for model, reference in counted.references.items()}
            self._profiles.add(self._writer, counted.windows, layouts)

    def _look(self) -> None:
        champion = self._champion()
        serving = champion.model.digest if champion else ""
        for sighting in self._findings.open():
            if sighting.finding.monitor == MONITOR and sighting.finding.model not in ("", serving):
                self._findings.report(MONITOR, sighting.finding.model, [], time.time_ns())
        self._watched = {model: kept for model, kept in self._watched.items() if model == serving}
        self._references = {model: kept for model, kept in self._references.items() if model == serving}
        if serving not in self._references or (newest_ns := self._profiles.newest_ns(serving)) is None:
            return
        reference = self._references[serving]
        if serving not in self._watched:
            watch = Watch(reference, self._settings)
            since_ns = history_ns(self._profiles.rows(serving), self._settings.min_rows)
            self._watched[serving] = _Watched(watch, self._importance(serving), since_ns)
        watched = self._watched[serving]
        until_ns = newest_ns
        quiet = time.monotonic() - self._heard > QUIET_SECONDS
        if quiet and newest_ns + SCALES[0].length_ns <= time.time_ns():
            until_ns += SCALES[0].length_ns
        windows = self._profiles.windows(
            serving, reference.layout, since_ns=watched.next_ns, until_ns=until_ns
        )
        for start_ns, window in windows:
            watched.watch.take(start_ns, window)
            watched.next_ns = start_ns + SCALES[0].length_ns
        if windows:
            self._report(serving, watched)

    def _report(self, model: str, watched: _Watched) -> None:
        names = watched.watch.reference.layout.names
        look = watched.watch.newest_look
        if look is None:
            return  # begun anew, and no word yet on what was found before
        stability = dict(zip(names, look.stability.tolist(), strict=True))
        self._last_look = LastLook(model, look.end_ns, look.window.rows, stability)
        found = name_findings(watched.watch, model, watched.importance, watched.found)
        watched.found = found
        self._tell(self._findings.report(MONITOR, model, found, watched.next_ns))
