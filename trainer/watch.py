"""Presses the button by itself: retrains when it is due, judges candidates and the champion on probation.

What a look does follows from the log, the registry and the findings alone, so that the watch may be stopped
and started at any time, and may run once a day from a scheduler as well as all the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sidecar.bundle import open_bundle
from sidecar.errors import BundleError
from sidecar.store.reader import LogReader
from trainer.days import HOUR_NS, day_start, hour_start, iso_day, iso_minute, nanoseconds
from trainer.join import clock_ns, read_rows
from trainer.judge import champion_of, open_findings
from trainer.retraining import Situation, due
from trainer.run import Summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.evidence import Evidence
    from trainer.probation.conduct import Stand
    from trainer.run import Run

NOTHING = 0


class Watch:
    """Looks once for each day that matures, of the days that the log knows, and at clocks once an hour."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._judged_ns = NOTHING
        self._evidence: Sequence[Evidence] = ()
        self._looked_ns = NOTHING
        self._timed_ns = NOTHING
        self._stands: Sequence[Stand] = ()

    def __repr__(self) -> str:
        return f"<Watch of {self._run.task.name}, looked at {iso_day(self._looked_ns)}>"

    @property
    def words(self) -> str:
        """How far it has looked, for a person who waits."""
        if self._looked_ns == NOTHING:
            return "nothing has matured yet"
        looked = f"looked at all before {iso_day(self._looked_ns)}"
        if self._someone_is_timed():
            until = iso_minute(self._timed_ns + HOUR_NS)
            return f"{looked}; who newly answers calls is timed again at {until} UTC"
        return f"{looked}; the next look is when that day has matured"

    def look(self) -> bool:
        """Do what there is to do; False where there is nothing.

        Whoever newly answers calls is looked at whenever an hour has ended, because it may be too slow, or
        keep callers waiting; everything else whenever a further day has matured. Raises SidecarError when it
        cannot be done; the next look tries again.
        """
        run = self._run
        with LogReader(run.config.log_path) as reader:
            now_ns = clock_ns(reader)
            matured_ns = day_start(now_ns + 1 - nanoseconds(run.task.maturity))
            if matured_ns > self._judged_ns:
                self._probation(reader, hour_start(now_ns + 1))
                self._evidence = self._decide(reader) if run.registry.deployment().candidates else ()
                self._judged_ns = matured_ns
            else:
                # Not only after the rest is done: a retraining that fails is tried again all day.
                timed = self._time(reader, hour_start(now_ns + 1))
                if matured_ns <= self._looked_ns:
                    return timed
            if why := due(run.task.retraining, self._situation(reader)):
                run.narrator.note(f"Retraining is due: {why}")
                run.retrain(reader)
        self._looked_ns = matured_ns
        return True

    def _time(self, reader: LogReader, hour_ns: int) -> bool:
        if hour_ns <= self._timed_ns or not self._someone_is_timed():
            return False
        self._probation(reader, hour_ns)
        return True

    def _someone_is_timed(self) -> bool:
        deployed = self._run.registry.deployment()
        return bool(deployed.standby or deployed.canary)

    def _probation(self, reader: LogReader, hour_ns: int) -> None:
        self._stands = self._run.probation(reader, self._stands)
        self._timed_ns = hour_ns

    def _decide(self, reader: LogReader) -> Sequence[Evidence]:
        summary = Summary(self._run.task.name)
        self._run.decide(reader, summary)
        for evidence, decision in summary.judged:
            words = " ".join(decision.reasons)
            self._run.narrator.note(f"{decision.action} {evidence.candidate.version}: {words}")
        self._run.narrator.note(summary.ending)
        return [evidence for evidence, _ in summary.judged]

    def _situation(self, reader: LogReader) -> Situation:
        run = self._run
        champion, deployment = champion_of(run.task, run.registry).model, run.registry.deployment()
        candidates = {ref.model.digest for ref in deployment.candidates}
        proven = {
            one.candidate.digest for one in self._evidence if one.champion == champion and one.own_cycles
        }
        trained_until_ns = self._trained_until_ns()
        rows = read_rows(
            reader,
            run.task.signature,
            run.task.maturity,
            since_ns=trained_until_ns + 1,
            hidden_by=run.task.hidden_by,
        )
        return Situation(
            now_ns=rows.as_of_ns,
            trained_until_ns=trained_until_ns,
            new=int(np.count_nonzero(rows.labelled)),
            retrained_ns=trained_until_ns + nanoseconds(run.task.maturity),
            unproven=len(candidates - proven) + (deployment.canary is not None),
            findings=[one for one in open_findings(run.config) if one.model == champion.digest],
        )

    def _trained_until_ns(self) -> int:
        """The newest event that any version of the task was fitted on, of those whose bundle says it."""
        newest = NOTHING
        for version in self._run.registry.versions():
            if version.model.name != self._run.task.name:
                continue
            try:
                newest = max(newest, open_bundle(version.path).fitted_until_ns or NOTHING)
            except BundleError:
                continue  # taken away; its snapshot's rows are those of others too
        return newest
