"""Everything that watches drift in a serving process, put together; or nothing, when it is switched off."""

from __future__ import annotations

import logging
import os
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from sidecar.bundle import open_bundle
from sidecar.drift.monitor import DriftMonitor
from sidecar.findings import FindingStore
from sidecar.profile.live import LiveProfiles, NoProfiles
from sidecar.profile.store import ProfileStore
from sidecar.webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidecar.config import Config
    from sidecar.domain import BundleRef
    from sidecar.drift.monitor import LastLook
    from sidecar.engine.contract import Engine
    from sidecar.findings import Finding
    from sidecar.registry import Registry

_logger = logging.getLogger(__name__)


class Unwatched:
    """Drift is not watched."""

    profiles = NoProfiles()

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def last_look(self) -> None:
        """There was none."""


class Watched:
    """The live profiles, the monitor, and where findings go."""

    def __init__(self, config: Config, registry: Registry, engine: Engine) -> None:
        self._registry = registry
        self._engine = engine
        self.profiles = LiveProfiles(lambda digest: registry.find(digest).path)
        self._webhook = Webhook(config.drift.webhook) if config.drift.webhook else None
        with ExitStack() as files:
            self._monitor = DriftMonitor(
                self.profiles,
                files.enter_context(ProfileStore(config.profiles_path)),
                files.enter_context(FindingStore(config.findings_path)),
                config.drift,
                champion=self._champion,
                importance=self._importance,
                tell=self._tell,
                writer=f"{socket.gethostname()}:{os.getpid()}:{time.time_ns()}",
            )
            self._files = files.pop_all()

    def start(self) -> None:
        """Begin to watch."""
        self._monitor.start()
        if self._webhook:
            self._webhook.start()

    def stop(self) -> None:
        """Store what was counted and end; stop the recorder before."""
        self._monitor.stop()
        if self._webhook:
            self._webhook.stop()

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def last_look(self) -> LastLook | None:
        """As `DriftMonitor.last_look`."""
        return self._monitor.last_look()

    def _champion(self) -> BundleRef | None:
        return self._engine.deployment.champion

    def _importance(self, digest: str) -> Mapping[str, float]:
        manifest = open_bundle(self._registry.find(digest).path).manifest
        importance: Mapping[str, float] = manifest.get("importance", {})
        return importance

    def _tell(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            _logger.warning("%s: %s", finding.what, finding.text)
        if self._webhook:
            self._webhook.post(findings)


def watch_drift(config: Config, registry: Registry, engine: Engine) -> Watched | Unwatched:
    """Make the parts; raises ConfigError or UnavailableError when their files cannot be used."""
    return Watched(config, registry, engine) if config.drift.watch == "on" else Unwatched()
