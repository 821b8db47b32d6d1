"""A small synthetic task that fits in a second or two; loadable as a task file, and its own traffic source.

Good or bad depends on |x|, which a line cannot see and a tree can: the boosting earns money over the
logistic regression, whatever the seed.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sidecar.signature import Field, Kind, Signature
from trainer.days import DAY_NS, moment
from trainer.policy import Policy
from trainer.task import Candidate, Columns, ExpectedUtility, History, Task, Transform
from trainer.utility import Amount, CostTable

START_NS = moment(datetime(2024, 1, 1, tzinfo=UTC))
HISTORY_DAYS = 30
LABEL_DELAY_NS = DAY_NS // 4

SIGNATURE = Signature(
    (
        Field("x", missing_allowed=True),
        Field("amount", lower=0, unit="USD"),
        Field("hour", Kind.INTEGER, lower=0, upper=23),
        Field("channel", Kind.TEXT, missing_allowed=True),
    )
)


@dataclass(frozen=True)
class Traffic:
    """Rows in time order, with what will become of them."""

    columns: dict
    label: np.ndarray
    event_ns: np.ndarray
    known_ns: np.ndarray
    request_ids: list[str]

    def record(self, row: int) -> dict:
        values = {name: column[row] for name, column in self.columns.items()}
        values["x"] = None if np.isnan(values["x"]) else float(values["x"])
        return {**values, "amount": float(values["amount"]), "hour": int(values["hour"])}


def traffic(first_day: int, days: int, rows_a_day: int = 200, seed: int = 0) -> Traffic:
    """Rows of whole UTC days, counted from START_NS; the same arguments give the same rows."""
    rng = np.random.default_rng([seed, first_day, days])
    rows = days * rows_a_day
    event_ns = START_NS + first_day * DAY_NS + np.sort(rng.integers(0, days * DAY_NS, rows))
    x = rng.normal(size=rows)
    bad = rng.random(rows) < np.where(np.abs(x) > 1, 0.8, 0.05)
    x[rng.random(rows) < 0.05] = np.nan
    return Traffic(
        columns={
            "x": x,
            "amount": np.round(rng.uniform(20, 200, rows), 2),
            "hour": (event_ns // (DAY_NS // 24)) % 24,
            "channel": rng.choice(np.array(["web", "shop", ""], object), rows),
        },
        label=bad.astype(np.float64),
        event_ns=event_ns,
        known_ns=event_ns + LABEL_DELAY_NS,
        request_ids=[f"d{first_day}-{seed}-{row}" for row in range(rows)],
    )


def history() -> History:
    past = traffic(0, HISTORY_DAYS)
    return History(past.columns, past.label, past.event_ns, past.known_ns, past.request_ids)


TRANSFORM = Transform(
    (
        Columns(("x", "amount"), make_pipeline(SimpleImputer(), StandardScaler())),
        Columns(("hour",)),
        Columns(("channel",), OneHotEncoder(handle_unknown="ignore", sparse_output=False)),
    )
)

task = Task(
    name="small",
    signature=SIGNATURE,
    candidates={
        "line": Candidate(LogisticRegression, TRANSFORM),
        "trees": Candidate(
            lambda: HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=8, random_state=0), TRANSFORM
        ),
    },
    champion="line",
    costs=CostTable(
        act_positive=Amount(-20, per={"amount": 0.5}),
        act_negative=Amount(-20),
        pass_positive=Amount(),
        pass_negative=Amount(),
        currency="USD",
        version="1",
        largest_loss=80,
    ),
    decision=ExpectedUtility(),
    maturity=timedelta(hours=12),
    policy=Policy(
        latency_budget_us=100_000,
        largest_unit_loss=600,
        cycle_days=1,
        deadline_days=14,
        min_rows=200,
        min_changed=20,
        min_losses=3,
        latency_block=1,
        slice_days=14,
    ),
    entity="hour",  # rows are drawn one by one, so that any part of them is independent of the rest
    holdout=timedelta(days=6),
    history=history,
)
