"""A year under the gate, beside a model that is never replaced and two that always are: docs/managed-year.md.

    python examples/flights/managed_year.py

The first champion answers from 16 March on. On the first of each month every recipe but the forest is fitted
on what the log knows, and shadowed in place of its earlier fit; every week the gate looks, and its best
promotion is carried out, and a champion on probation is judged. Nothing is tuned: the page says what the data
says. A quarter of an hour or more.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flights_data import load_flights, new_york_ns
from managed_page import render
from reigns import Reign, best_by, decisions_under
from year import DayLog

from sidecar.bundle import open_bundle
from sidecar.lifecycle import ModelState, Reason
from sidecar.registry import Registry
from sidecar.session import load_model
from sidecar.store.reader import LogReader
from trainer.days import DAY_NS, day_start, iso_day
from trainer.evaluation.rescore import rescore
from trainer.fit import fit_candidate
from trainer.gate import Action, choose
from trainer.join import read_rows
from trainer.judge import champion_of, judge, settle
from trainer.probation.conduct import conduct
from trainer.promote import act, promote_first, shadow
from trainer.snapshot import find_snapshot, from_history, from_log, open_snapshot
from trainer.task import load_task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sidecar.session import Model
    from trainer.gate import Decision
    from trainer.join import JoinedRows
    from trainer.offline import FitReport
    from trainer.task import Task

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "var" / "managed-year"
PAGE = ROOT / "docs" / "managed-year.md"
TASK = ROOT / "examples" / "flights" / "task.py"
TRAINED = "2013-03-16"
MONTHS = [f"2013-{month:02}-01" for month in range(4, 13)]
LOOK_DAYS = 7
LEFT_OUT = "big_forest"
LATENCY_BUDGET_US = 1e6
"""A second, because the log's times are of batches: none is too slow, and none is shown to be fast."""
WHY = Reason("example", "the page over the managed year")


@dataclass
class Year:
    """What happened. reigns: by policy; fitted: by month; decisions: all but those to wait.

    waiting: who is in the shadow at the end.
    """

    reigns: dict[str, list[Reign]]
    fitted: dict[str, dict[str, FitReport]] = field(default_factory=dict)
    decisions: list[tuple[int, Decision]] = field(default_factory=list)
    looks: int = 0
    bundles: dict[str, Path] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)


class Manager:
    """The managed champion: what `trainer run` does, month by month and week by week, at moments of 2013."""

    def __init__(self, task: Task, registry: Registry, home: Path) -> None:
        self.task = task
        self._registry = registry
        self._home = home
        self._models: dict[str, Model] = {}
        since_ns = day_start(new_york_ns(TRAINED))
        snapshot = from_history(task, new_york_ns(TRAINED), root=home / "snapshots")
        first = fit_candidate(task, task.champion, snapshot, bundles=home / "bundles", version="first").bundle
        promote_first(registry, first.path, WHY)
        self.year = Year(
            reigns={
                name: [Reign(since_ns, "first")]
                for name in ("managed", "frozen", "newest by hold-out money", "newest by accuracy")
            },
            bundles={"first": first.path},
        )

    def serving(self) -> tuple[Model, list[Model]]:
        """Give the champion and all that score beside it, loaded."""
        deployment = self._registry.deployment()
        assert deployment.champion is not None
        refs = [deployment.champion, *deployment.shadows]
        self._models = {
            ref.model.digest: self._models.get(ref.model.digest) or load_model(ref.path) for ref in refs
        }
        champion, *others = (self._models[ref.model.digest] for ref in refs)
        return champion, others

    def retrain(self, month: str, now_ns: int) -> None:
        """Fit the recipes on what the log knows, and shadow them; unjudged policies take theirs at once."""
        champion = champion_of(self.task, self._registry)
        base = open_bundle(champion.path).manifest["snapshot"]
        with LogReader(self._home / "log.db") as reader:
            snapshot = from_log(
                self.task,
                reader,
                now_ns - 1,
                open_snapshot(find_snapshot(self._home / "snapshots", base)),
                root=self._home / "snapshots",
            )
        reports = {}
        for recipe in self.task.candidates:
            version = f"{recipe}-{month[:7]}"
            fitted = fit_candidate(
                self.task, recipe, snapshot, bundles=self._home / "bundles", version=version
            )
            shadow(self._registry, fitted.bundle.path, WHY)
            self.year.bundles[version] = fitted.bundle.path
            reports[recipe] = fitted.report
        self.year.fitted[month] = reports
        by_money = best_by(reports, lambda report: report.utility_per_1000)
        by_accuracy = best_by(reports, lambda report: report.accuracy)
        self.year.reigns["newest by hold-out money"].append(Reign(now_ns, f"{by_money}-{month[:7]}"))
        self.year.reigns["newest by accuracy"].append(Reign(now_ns, f"{by_accuracy}-{month[:7]}"))
        print(f"{month}: {len(snapshot):,} rows, by money {by_money}, by accuracy {by_accuracy}", flush=True)

    def look(self, now_ns: int) -> None:
        """Judge a champion on probation, then who is in the shadow; promote the best that earned it."""
        self.year.looks += 1
        with LogReader(self._home / "log.db") as reader:
            if self._registry.deployment().standby is not None:
                self._probation(reader, now_ns)
            if not self._registry.deployment().candidates:
                return
            judged = judge(self.task, self._registry, reader, [], actor=WHY.actor, as_of_ns=now_ns - 1)
        settle(self._registry, judged, self.task.policy)
        decisions = [decision for _, decision in judged]
        best = choose(decisions)
        if best is not None:
            act(self._registry, best, self.task.policy)
            self.year.reigns["managed"].append(Reign(now_ns, best.candidate.version))
        for one in decisions:
            if one is best or one.action is Action.REJECT:
                self._note(now_ns, one)

    def _probation(self, reader: LogReader, now_ns: int) -> None:
        for one in conduct(self.task, self._registry, reader, actor=WHY.actor, as_of_ns=now_ns - 1):
            if one.decision.action is Action.HOLD:
                continue
            self._note(now_ns, one.decision)
            if one.decision.action is Action.ROLL_BACK:
                self.year.reigns["managed"].append(Reign(now_ns, one.decision.candidate.version))

    def _note(self, now_ns: int, decision: Decision) -> None:
        self.year.decisions.append((now_ns, decision))
        words = f"{decision.action} {decision.candidate.version}: {decision.reasons[0]}"
        print(f"{iso_day(now_ns)}: {words}", flush=True)


def manage(task: Task, home: Path) -> tuple[Year, JoinedRows]:
    """Live through the year in a home made anew; give what happened, and the log's rows with outcomes."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    since_ns = new_york_ns(TRAINED)
    months = {day_start(new_york_ns(month)): month for month in MONTHS}
    with Registry(home / "registry.db") as registry, DayLog(home / "log.db", load_flights(), since_ns) as log:
        manager = Manager(task, registry, home)
        first_day_ns = day_start(since_ns)
        for day_ns in range(first_day_ns, log.last_day_ns + 1, DAY_NS):
            if (day_ns - first_day_ns) // DAY_NS % LOOK_DAYS == 0:
                manager.look(day_ns)
            if day_ns in months:
                manager.retrain(months[day_ns], day_ns)
            log.write(day_ns, *manager.serving())
        end_ns = log.last_day_ns + DAY_NS
        manager.year.waiting += [
            one.model.version for one in registry.versions() if one.state is ModelState.SHADOW
        ]
    with LogReader(home / "log.db") as reader:
        rows = read_rows(reader, task.signature, task.maturity, as_of_ns=end_ns + 2 * DAY_NS)
    return manager.year, rows


def money_by_policy(task: Task, year: Year, rows: JoinedRows) -> dict[str, NDArray[np.float64]]:
    """What each policy earned on each row, float64 [n]; the managed champion as it decided in the log."""

    def decide(version: str, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        scored = rescore(load_model(year.bundles[version]), rows.blocks.take(places))
        assert scored.valued.all()
        return scored.decision

    decisions = {
        name: rows.decision if name == "managed" else decisions_under(reigns, rows.event_ns, decide)
        for name, reigns in year.reigns.items()
    }
    return {
        name: task.costs.utility(task.signature, rows.blocks, decision, rows.label)
        for name, decision in decisions.items()
    }


def main() -> None:
    """Manage the year, add up what each policy earned, render."""
    began = time.perf_counter()
    declared = load_task(TASK)
    task = replace(
        declared,
        candidates={name: one for name, one in declared.candidates.items() if name != LEFT_OUT},
        policy=replace(declared.policy, latency_budget_times=None, latency_budget_us=LATENCY_BUDGET_US),
    )
    year, rows = manage(task, HOME)
    assert rows.labelled.all()
    money = money_by_policy(task, year, rows)
    PAGE.write_text(render(task, year, rows, money, time.perf_counter() - began))
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
