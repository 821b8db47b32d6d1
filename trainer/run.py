"""The button: from what the sidecar logged to a promoted model, or to the reason why not.

snapshot ─▶ fit every recipe ─▶ admit and shadow ─▶ wait for matured evidence ─▶ decide ─▶ promote
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sidecar.bundle import open_bundle
from sidecar.errors import NotFoundError, SidecarError
from sidecar.lifecycle import Reason
from sidecar.store.reader import LogReader
from trainer.days import iso_minute
from trainer.fit import fit_candidate
from trainer.gate import choose, lacking
from trainer.judge import champion_of, judge, open_findings, settle
from trainer.probation.conduct import conduct
from trainer.probation.telling import tell
from trainer.promote import act, promote_first, shadow, wait_until_active
from trainer.search_report import search_note
from trainer.snapshot import find_snapshot, from_history, from_log, open_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidecar.config import Config
    from sidecar.domain import Deployment, ModelId
    from sidecar.lifecycle import Version
    from sidecar.registry import Registry
    from trainer.evidence import Evidence
    from trainer.fit import Fitted
    from trainer.gate import Decision
    from trainer.probation.conduct import Stand
    from trainer.snapshot import Snapshot
    from trainer.task import Task

POLL_SECONDS = 1.0


class Narrator(Protocol):
    """Who is told how far the run has come."""

    def stage(self, text: str) -> None:
        """A stage begins."""

    def note(self, text: str) -> None:
        """Something worth keeping was found."""

    def wait(self, text: str) -> None:
        """What is being done or waited for just now; replaces what was said before."""


@dataclass
class Summary:
    """How a run went. promoted: the version that took over, None when none did."""

    task: str
    snapshot: str = ""
    fitted: Mapping[str, Fitted] = field(default_factory=dict)
    judged: list[tuple[Evidence, Decision]] = field(default_factory=list)
    promoted: ModelId | None = None
    ending: str = ""


@dataclass(frozen=True)
class Run:
    """One press of the button. Ending it at any moment loses nothing: what is in the shadow stays there.

    history_until_ns: where the first champion's history ends, None for all of it. patience_seconds: how long
    a sidecar has to take up a change. wait_seconds: how long evidence has to
    mature; None for as long as it takes.
    """

    task: Task
    config: Config
    registry: Registry
    actor: str
    narrator: Narrator
    history_until_ns: int | None
    patience_seconds: float
    wait_seconds: float | None

    def __call__(self) -> Summary:
        """Do all of it. Raises SidecarError when a stage cannot be done at all."""
        if self.registry.champion() is None:
            return self._first_champion()
        with LogReader(self.config.log_path) as reader:
            self.probation(reader)
            summary = self.retrain(reader)
            self.narrator.stage("Wait until the evidence has matured")
            self._wait_for_evidence(reader)
            self.decide(reader, summary)
        return summary

    def probation(self, reader: LogReader, told: Sequence[Stand] = ()) -> tuple[Stand, ...]:
        """Judge a champion on probation and a canary, act on it, and say where nothing can be judged.

        told: how they stood when that was last told; it is told again where it has changed. Returns how they
        stand.
        """
        deployed, found = self.registry.deployment(), []
        try:
            if deployed.standby or deployed.canary:
                self.narrator.wait("judging who newly answers calls")
                found = conduct(self.task, self.registry, reader, actor=self.actor)
        finally:  # a lapse was acted upon even where the canary's judge fails
            tell(self.config.findings_path, self.registry, found, self.task.policy)
        for one in found:
            if one.stand not in told:
                self.narrator.note(one.words)
            if one.deployment:
                self._report_active(one.deployment)
        return tuple(one.stand for one in found)

    def retrain(self, reader: LogReader) -> Summary:
        """Snapshot, fit, shadow."""
        summary = Summary(self.task.name)
        champion = champion_of(self.task, self.registry)
        self.narrator.stage("Snapshot of what the sidecar logged")
        snapshot = from_log(self.task, reader, base=self._base(champion), root=self.config.snapshots_path)
        summary.snapshot = snapshot.digest
        self.narrator.note(f"{len(snapshot):,} labelled rows, snapshot {snapshot.digest[:12]}")

        self.narrator.stage(f"Fit {len(self.task.candidates)} recipes")
        fitted = self._fit_all(snapshot)
        summary.fitted = fitted

        self.narrator.stage("Admit them and start their shadows")
        self._shadow_all(fitted)
        return summary

    def decide(self, reader: LogReader, summary: Summary) -> None:
        """Judge the candidates in the shadow, and promote the best of those that earned it."""
        self.narrator.stage("Decide")
        summary.judged = self._judge(reader)
        settle(self.registry, summary.judged, self.task.policy)
        self._promote(summary)

    def _first_champion(self) -> Summary:
        self.narrator.stage("No champion yet: fit the first from the history")
        snapshot = from_history(self.task, self.history_until_ns, root=self.config.snapshots_path)
        self.narrator.note(f"{len(snapshot):,} labelled rows, snapshot {snapshot.digest[:12]}")
        recipe = self.task.champion
        fitted = self._fit(recipe, snapshot)
        self.narrator.stage("Promote it")
        why = f"first champion: recipe {recipe} on the history, snapshot {snapshot.digest[:12]}"
        self._report_active(promote_first(self.registry, fitted.bundle.path, Reason(self.actor, why)))
        return Summary(
            task=self.task.name,
            snapshot=snapshot.digest,
            fitted={recipe: fitted},
            promoted=fitted.bundle.model,
            ending=f"{fitted.bundle.model} is the first champion. Serve traffic, record outcomes, run again.",
        )

    def _base(self, champion: Version) -> Snapshot | None:
        digest = open_bundle(champion.path).manifest.get("snapshot", "")
        try:
            return open_snapshot(find_snapshot(self.config.snapshots_path, digest))
        except NotFoundError:
            self.narrator.note("the champion's own snapshot is not here, so only logged rows are used")
            return None

    def _fit_all(self, snapshot: Snapshot) -> dict[str, Fitted]:
        fitted: dict[str, Fitted] = {}
        problems: list[SidecarError] = []
        for recipe in self.task.candidates:
            try:
                fitted[recipe] = self._fit(recipe, snapshot)
            except SidecarError as error:
                problems.append(error)
                self.narrator.note(f"{recipe} is left out: {error}")
        if not fitted:
            raise problems[0]
        return fitted

    def _fit(self, recipe: str, snapshot: Snapshot) -> Fitted:
        fitted = fit_candidate(
            self.task, recipe, snapshot, bundles=self.config.bundles_path, progress=self.narrator.wait
        )
        if fitted.searched:
            self.narrator.note(f"{recipe}: {search_note(fitted.searched, self.task.costs.currency)}")
        return fitted

    def _shadow_all(self, fitted: Mapping[str, Fitted]) -> None:
        for recipe, one in fitted.items():
            self.narrator.wait(f"{recipe}: admission check")
            why = f"trainer run: recipe {recipe}"
            try:
                version = shadow(self.registry, one.bundle.path, Reason(self.actor, why))
                self.narrator.note(f"{recipe} is in the shadow as {version.model}")
            except SidecarError as error:
                self.narrator.note(f"{recipe} is left out: {error}")
        self._report_active(self.registry.deployment())

    def _wait_for_evidence(self, reader: LogReader) -> None:
        """Until each candidate is ruled out or has all the evidence the policy asks for, or time is up."""
        began = time.monotonic()
        while True:
            asked = time.monotonic()
            judged = self._judge(reader)
            policy = self.task.policy
            missing = {
                evidence.candidate.version: reasons
                for evidence, _ in judged
                if (reasons := lacking(evidence, policy))
            }
            if not missing:
                return
            version, reasons = next(iter(missing.items()))
            words = (
                f"log at {iso_minute(judged[0][0].query.as_of_ns)} UTC; {len(missing)} of {len(judged)} "
                f"candidates lack evidence. {version}: {' '.join(reasons)}"
            )
            if self.wait_seconds is not None and asked - began >= self.wait_seconds:
                self.narrator.note(f"after {self.wait_seconds:g} s: {words}")
                return
            self.narrator.wait(words)
            # A long log takes long to read; reading must not become all that this process does.
            time.sleep(max(POLL_SECONDS, 2 * (time.monotonic() - asked)))

    def _judge(self, reader: LogReader) -> list[tuple[Evidence, Decision]]:
        return judge(self.task, self.registry, reader, open_findings(self.config), actor=self.actor)

    def _promote(self, summary: Summary) -> None:
        best = choose([decision for _, decision in summary.judged])
        if best is None:
            champion = champion_of(self.task, self.registry)
            summary.ending = f"Nobody earned promotion; {champion.model} stays champion."
            return
        canary = self.registry.deployment().canary
        if canary is not None:
            summary.ending = f"{best.candidate} earned it, and waits while {canary.ref.model} is the canary."
            return
        first_share = next(iter(self.task.policy.canary), None)
        part = "" if first_share is None else f" to canary, with {first_share:.2%} of the calls"
        self.narrator.stage(f"Promote {best.candidate}{part}")
        deployment = act(self.registry, best, self.task.policy)
        assert deployment is not None
        self._report_active(deployment)
        if deployment.canary is not None:
            summary.ending = f"{best.candidate} is the canary: {' '.join(best.reasons)}"
            return
        summary.promoted = best.candidate
        summary.ending = f"{best.candidate} is the champion: {' '.join(best.reasons)}"

    def _report_active(self, deployment: Deployment) -> None:
        self.narrator.wait("waiting for the sidecar to take it up")
        self.narrator.note(activation_words(self.registry, deployment, self.patience_seconds))


def activation_words(registry: Registry, deployment: Deployment, timeout_seconds: float) -> str:
    """What became of a deployment within the time given, in a sentence."""
    activation = wait_until_active(registry, deployment.generation, timeout_seconds)
    if activation is None:
        return (
            f"no sidecar has taken up generation {deployment.generation} within {timeout_seconds:g} s; "
            "one that starts later will"
        )
    if activation.error:
        return f"sidecar {activation.sidecar} could not take it up: {activation.error}"
    return f"sidecar {activation.sidecar} serves generation {activation.generation}"
