"""Payments written into a real log as they are served, scored in the shadow and reported, day by day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.gate.payments import START_NS
from sidecar.domain import Failure, ModelId, Outcome, ScoreBatch, ServedBatch, to_ids
from trainer.days import DAY_NS, nanoseconds
from trainer.hidden_outcomes import is_hidden, stands_for

if TYPE_CHECKING:
    from datetime import timedelta

    from numpy.typing import NDArray

    from benchmarks.gate.payments import Payments
    from sidecar.store.log import LogStore
    from trainer.task import Task

CHAMPION = ModelId("payments", "champion", "c" * 64)
CANDIDATE = ModelId("payments", "candidate", "a" * 64)


@dataclass(frozen=True, eq=False)
class Report:
    """What callers say of payments: which rows, whether it was fraud, and when, by time (ns, int64)."""

    row: NDArray[np.int64]
    fraud: NDArray[np.bool_]
    observed_ns: NDArray[np.int64]

    @classmethod
    def sorted(
        cls, row: NDArray[np.int64], fraud: NDArray[np.bool_], observed_ns: NDArray[np.int64]
    ) -> Report:
        """In the order in which it is said."""
        order = np.argsort(observed_ns, kind="stable")
        return cls(row[order], fraud[order], observed_ns[order])


def honest(payments: Payments, seen: NDArray[np.bool_]) -> Report:
    """Each outcome when it is known, of rows whose reply let it be seen. seen: bool [n]."""
    row = np.flatnonzero(payments.heard & seen)
    return Report.sorted(row, payments.fraud[row], (payments.event_ns + payments.known_ns)[row])


def impatient(payments: Payments, patience: timedelta) -> Report:
    """Good when nothing was heard for so long; fraud when it is heard of, before or afterwards."""
    patience_ns = nanoseconds(patience)
    fraud = np.flatnonzero(payments.fraud & payments.heard)
    quiet = np.flatnonzero(~(payments.fraud & payments.heard & (payments.known_ns <= patience_ns)))
    return Report.sorted(
        np.concatenate([fraud, quiet]),
        np.arange(len(fraud) + len(quiet)) < len(fraud),
        np.concatenate(
            [(payments.event_ns + payments.known_ns)[fraud], payments.event_ns[quiet] + patience_ns]
        ),
    )


@dataclass(frozen=True, eq=False)
class Traffic:
    """Payments as they are served, scored and reported. propensity: float32 [n], see `ServedBatch`."""

    task: Task
    payments: Payments
    propensity: NDArray[np.float32]
    report: Report

    @classmethod
    def of(cls, payments: Payments, task: Task) -> Traffic:
        """Under a task, which may explore and hide; what is seen is reported when it is known."""
        propensity = task.exploration.propensity(payments.ids, payments.champion)
        hidden = is_hidden(payments.champion, propensity, task.hidden_by)
        return cls(task, payments, propensity, honest(payments, ~hidden))

    def write(self, store: LogStore, begin: int, end: int) -> None:
        """Write what happens from day `begin` until before day `end`, in one transaction."""
        payments = self.payments
        rows = slice(*np.searchsorted(payments.day, (begin, end)).tolist())
        span_ns = START_NS + begin * DAY_NS, START_NS + end * DAY_NS
        said = range(*np.searchsorted(self.report.observed_ns, span_ns).tolist())
        store.write([self._served(rows)], [self._scored(rows)], [[self._outcome(one) for one in said]])

    def units(self) -> NDArray[np.float64]:
        """What bets on single rows would be made on: the days that are judged, with all that is ever seen."""
        task, payments = self.task, self.payments
        hidden = is_hidden(payments.champion, self.propensity, task.hidden_by)
        weight = stands_for(self.propensity, hidden)
        units = payments.gain() * weight * (task.explore or 1.0) / task.costs.row_bound(task.signature)
        return units[payments.day < task.policy.deadline_days]

    def _served(self, rows: slice) -> ServedBatch:
        payments, count = self.payments, rows.stop - rows.start
        nothing = np.zeros(count, np.int64)
        return ServedBatch(
            model=CHAMPION,
            request_ids=to_ids(payments.ids[rows]),
            client=np.full(count, "", object),
            received_ns=payments.event_ns[rows],
            event_ns=payments.event_ns[rows],
            group=np.arange(count),
            blocks=self.task.signature.pack_columns(
                {
                    "amount": payments.amount[rows],
                    "card": payments.card[rows],
                    "country": payments.country[rows],
                }
            ),
            features=np.zeros((count, 1), np.float32),
            score=_score(payments.champion[rows]),
            decision=payments.champion[rows],
            propensity=self.propensity[rows],
            queue_ns=nothing,
            failed_ns=nothing,
            infer_ns=payments.cpu_ns[0, rows],
            cpu_ns=payments.cpu_ns[0, rows],
        )

    def _scored(self, rows: slice) -> ScoreBatch:
        payments = self.payments
        shed, blocks = payments.shed[rows], payments.candidate[rows]
        cpu_ns = np.where(shed, 0, payments.cpu_ns[1, rows])
        return ScoreBatch(
            model=CANDIDATE,
            champion=CHAMPION,
            request_ids=to_ids(payments.ids[rows]),
            score=np.where(shed, np.float32(np.nan), _score(blocks)),
            decision=blocks & ~shed,
            infer_ns=cpu_ns,
            cpu_ns=cpu_ns,
            failures=((Failure.NONE, ""), (Failure.SHED, "the queue was full")),
            failure_rows=shed.astype(np.int64),
        )

    def _outcome(self, one: int) -> Outcome:
        report = self.report
        row, observed_ns = int(report.row[one]), int(report.observed_ns[one])
        return Outcome(self.payments.ids[row], float(report.fraud[one]), None, observed_ns)


def _score(blocks: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(blocks, np.float32(0.9), np.float32(0.1))
