"""How things stand with a model's traffic: its newest windows beside training, and what is found.

Reads a home's files, whether a sidecar runs or not. Whoever wants the open findings only, as the gate does,
takes `open_findings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.bundle import open_bundle
from sidecar.drift.scale import history_ns
from sidecar.drift.watch import Watch
from sidecar.errors import NotFoundError
from sidecar.findings import FindingStore
from sidecar.profile.profile import Profile
from sidecar.profile.reference import read_reference
from sidecar.profile.store import ProfileStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sidecar.config import Config
    from sidecar.domain import ModelId
    from sidecar.drift.watch import Look
    from sidecar.findings import Sighting
    from sidecar.lifecycle import Version
    from sidecar.profile.reference import Reference


@dataclass(frozen=True, eq=False)
class Survey:
    """look: the newest window that was looked at, None when none was.

    profile: all rows of the newest day. since_ns, until_ns: the windows that there are. findings: those that
    matter most first.
    """

    model: ModelId
    reference: Reference
    importance: Mapping[str, float]
    since_ns: int
    until_ns: int
    profile: Profile
    look: Look | None
    findings: list[Sighting]


def open_findings(findings_path: Path, model: str) -> list[Sighting]:
    """What is found at present about the model with this digest, of every monitor; none without a file."""
    if not findings_path.exists():
        return []
    with FindingStore(findings_path) as findings:
        return findings.open(model)


def survey(config: Config, version: Version) -> Survey:
    """Survey a version's traffic. Raises NotFoundError when nothing was counted for it."""
    bundle = open_bundle(version.path)
    reference = read_reference(bundle.path, bundle.signature)
    if reference is None:
        raise NotFoundError(f"{bundle.model} has no training profile; fit it again")
    digest = bundle.model.digest
    none = NotFoundError(f"nothing was counted for {bundle.model}; serve it, with [drift] watch on")
    if not config.profiles_path.exists():
        raise none
    with ProfileStore(config.profiles_path) as store:
        rows = store.rows(digest)
        if not rows:
            raise none
        since_ns = history_ns(rows, config.drift.min_rows)
        windows = store.windows(digest, reference.layout, since_ns=since_ns, until_ns=max(rows) + 1)
    watch = Watch(reference, config.drift)
    for start_ns, window in windows:
        watch.take(start_ns, window)
    longest = watch.scales[-1].scale
    newest_day = longest.start(windows[-1][0] - longest.length_ns + 1)
    total = Profile.empty(reference.layout)
    for start_ns, window in windows:
        if start_ns >= newest_day:
            total += window
    found = open_findings(config.findings_path, digest)
    return Survey(
        model=bundle.model,
        reference=reference,
        importance=bundle.manifest.get("importance", {}),
        since_ns=windows[0][0],
        until_ns=windows[-1][0] + watch.scales[0].scale.length_ns,
        profile=total,
        look=watch.newest_look,
        findings=sorted(found, key=lambda sighting: -float(sighting.finding.evidence.get("rank", 0.0))),
    )
