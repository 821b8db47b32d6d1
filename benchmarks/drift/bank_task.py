"""The task: whom to call and offer a term deposit, as the bank's data scientist might have written it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.drift.bank_calls import INTEGERS, NUMBERS, TEXTS
from sidecar.signature import Field, Kind, Signature
from trainer.policy import Policy
from trainer.task import Candidate, Columns, ExpectedUtility, History, Task, Transform
from trainer.utility import Amount, CostTable

if TYPE_CHECKING:
    from benchmarks.drift.bank_calls import Calls

LOWER = {"age": 0, "campaign": 1, "pdays": -1, "previous": 0}

signature = Signature(
    (
        *(Field(name, unit="EUR") for name in NUMBERS),
        # The file writes -1 where nobody called before, and so would the bank.
        *(Field(name, Kind.INTEGER, lower=LOWER[name]) for name in INTEGERS),
        *(Field(name, Kind.TEXT) for name in TEXTS),
    )
)

linear = Transform(
    (
        Columns(NUMBERS, StandardScaler()),
        Columns(INTEGERS, StandardScaler()),
        Columns(TEXTS, OneHotEncoder(handle_unknown="ignore", sparse_output=False)),
    )
)

# Assumptions: a call costs 5 euros, a deposit brings 100. So one in twenty must subscribe.
CALL, DEPOSIT = 5.0, 100.0

costs = CostTable(
    act_positive=Amount(DEPOSIT - CALL),
    act_negative=Amount(-CALL),
    pass_positive=Amount(),
    pass_negative=Amount(),
    currency="EUR",
    version="deposits-1",
)


def task_of(calls: Calls) -> Task:
    """The task whose history these calls are. Whether a client subscribes is known when the call ends."""

    def history() -> History:
        return History(
            columns=calls.columns,
            label=calls.label,
            event_ns=calls.event_ns,
            known_ns=calls.event_ns,
            request_ids=[f"call-{place}" for place in range(len(calls))],
        )

    return Task(
        name="bank",
        signature=signature,
        candidates={"logistic": Candidate(lambda: LogisticRegression(max_iter=1000), linear)},
        champion="logistic",
        costs=costs,
        decision=ExpectedUtility(),
        maturity=timedelta(days=1),
        holdout=timedelta(days=28),
        # The busiest day has 825 calls, each of which might have brought a deposit.
        policy=Policy(latency_budget_times=2, largest_unit_loss=825 * (DEPOSIT - CALL)),
        history=history,
    )
