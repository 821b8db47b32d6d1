"""Real rows in place of traffic: a champion fitted on those before a day scores the later ones, watched."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sidecar.drift.naming import name_findings
from sidecar.drift.scale import HOUR_NS
from sidecar.drift.watch import Watch
from sidecar.profile.profile import count_rows
from sidecar.profile.reference import read_reference
from sidecar.session import load_model
from trainer.days import iso_day

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sidecar.bundle import Bundle
    from sidecar.config import Drift
    from sidecar.drift.watch import Look
    from sidecar.findings import Finding
    from sidecar.profile.reference import Reference
    from sidecar.signature import Blocks
    from trainer.snapshot import Snapshot
    from trainer.task import Task


@dataclass(frozen=True, eq=False)
class Champion:
    """A model, the training rows it was fitted on, and their profile."""

    bundle: Bundle
    snapshot: Snapshot
    reference: Reference

    @classmethod
    def fitted(cls, task: Task, until_ns: int, folder: Path) -> Champion:
        """Fit the task's champion on what was known then, as `trainer snapshot` and `trainer fit` do."""
        from trainer.fit import fit_candidate  # noqa: PLC0415 - not needed to render
        from trainer.snapshot import from_history  # noqa: PLC0415

        snapshot = from_history(task, until_ns, root=folder / "snapshots")
        bundle = fit_candidate(task, task.champion, snapshot, bundles=folder / "bundles").bundle
        reference = read_reference(Path(bundle.path), bundle.signature)
        assert reference is not None, "a fitted bundle has a training profile"
        return cls(bundle, snapshot, reference)


@dataclass(frozen=True, eq=False)
class Served:
    """What a champion made of rows, in order of time. All [n]; hour_ns: the start of the hour of each."""

    champion: Champion
    blocks: Blocks
    hour_ns: NDArray[np.int64]
    score: NDArray[np.float32]
    decision: NDArray[np.bool_]

    @classmethod
    def by(
        cls, champion: Champion, columns: Mapping[str, NDArray[Any]], event_ns: NDArray[np.int64]
    ) -> Served:
        """Have the champion score the rows. event_ns: increasing."""
        blocks = champion.bundle.signature.pack_columns(columns)
        prediction = load_model(champion.bundle.path).run(blocks)
        return cls(champion, blocks, event_ns // HOUR_NS * HOUR_NS, prediction.score, prediction.decision)

    def watched(self, settings: Drift) -> Watched:
        """Count hour by hour, and look as the monitor does."""
        reference, importance = self.champion.reference, self.champion.bundle.manifest["importance"]
        watch, sightings = Watch(reference, settings), Sightings()
        former: list[Finding] = []
        looks: list[Look] = []
        begins = np.flatnonzero(np.diff(self.hour_ns, prepend=-1)).tolist()
        for begin, end in zip(begins, [*begins[1:], len(self.hour_ns)], strict=True):
            rows, hour_ns = slice(begin, end), int(self.hour_ns[begin])
            watch.take(
                hour_ns,
                count_rows(reference.layout, self.blocks.take(rows), self.score[rows], self.decision[rows]),
            )
            former = name_findings(watch, "", importance, former)
            sightings.take(hour_ns, former)
            for scale in watch.scales:
                if scale.look is not None and scale.look not in looks[-2:]:
                    looks.append(scale.look)
        return Watched(
            sightings.all,
            dict(Counter(look.scale.name for look in looks)),
            iso_day(max(look.end_ns for look in looks)),
        )


class Watched(NamedTuple):
    """Every finding, in the order in which they opened.

    looks: how many windows of each scale were looked at. last: the day on which the last of them ended.
    """

    findings: list[dict[str, Any]]
    looks: dict[str, int]
    last: str


class Sightings:
    """All that was found, look after look: when it opened and closed, and what it said when it opened."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []
        self._open: dict[tuple[str, str], dict[str, Any]] = {}

    def take(self, at_ns: int, found: Sequence[Finding]) -> None:
        """What a look found."""
        now = {(one.subject, one.what): one for one in found}
        for key in self._open.keys() - now.keys():
            self._open.pop(key)["closed"] = iso_day(at_ns)
        for key, one in now.items():
            if key in self._open:
                continue
            self._open[key] = {
                "subject": one.subject,
                "what": one.what,
                "since": iso_day(one.since_ns),
                "opened": iso_day(at_ns),
                "closed": None,
                "text": one.text,
                **{
                    name: one.evidence[name]
                    for name in ("psi", "importance", "compared_with")
                    if name in one.evidence
                },
            }
            self.all.append(self._open[key])
