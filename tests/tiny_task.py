"""The task that the tiny bundles serve, as a task file: enough to judge them by, nothing to fit."""

from datetime import timedelta

from sklearn.linear_model import LogisticRegression
from tiny_bundles import SIGNATURE

from trainer.policy import Policy
from trainer.task import Candidate, Columns, ExpectedUtility, Task, Transform
from trainer.utility import Amount, CostTable

task = Task(
    name="tiny",
    signature=SIGNATURE,
    candidates={"line": Candidate(LogisticRegression, Transform((Columns(("amount",)),)))},
    champion="line",
    costs=CostTable(
        act_positive=Amount(1),
        act_negative=Amount(-1),
        pass_positive=Amount(),
        pass_negative=Amount(),
        currency="USD",
        version="1",
    ),
    decision=ExpectedUtility(),
    maturity=timedelta(hours=1),
    # A shared machine may hold a call up for long; speed is not what these bundles are judged for.
    policy=Policy(
        latency_budget_us=1e6,
        largest_unit_loss=150,
        cycle_days=1,
        min_rows=200,
        latency_block=1,
        min_losses=0,  # the healthy bundle is never wrong
    ),
    holdout=timedelta(days=1),
)
