"""Evidence of a million joined rows: how long it takes and how much memory, in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.environments import WORK
from sidecar.domain import Failure, ModelId, Outcome, ScoreBatch, ServedBatch, to_ids
from sidecar.signature import Field, Kind, Signature
from sidecar.store.log import LogStore
from sidecar.store.reader import LogReader
from sidecar.store.schema import FORMAT
from trainer.days import DAY_NS
from trainer.gather import gather
from trainer.policy import Policy
from trainer.task import Candidate, Columns, ExpectedUtility, Task, Transform
from trainer.utility import Amount, CostTable

SEED = 20_130_501
ROWS, BATCH, DAYS = 1_100_000, 5_000, 30
_NUMBERS = 8
CHAMPION, CANDIDATE = ModelId("million", "champion", "c" * 64), ModelId("million", "candidate", "a" * 64)
SIGNATURE = Signature(
    (
        *(Field(f"n{number}", missing_allowed=True) for number in range(_NUMBERS - 1)),
        Field("amount", lower=0, upper=2_000, unit="USD"),
        Field("hour", Kind.INTEGER, lower=0, upper=23),
        Field("card", Kind.TEXT),
        Field("country", Kind.TEXT),
    )
)
TASK = Task(
    name="million",
    signature=SIGNATURE,
    candidates={"line": Candidate(LogisticRegression, Transform((Columns(("amount",)),)))},
    champion="line",
    costs=CostTable(
        act_positive=Amount(-2),
        act_negative=Amount(-2),
        pass_positive=Amount(per={"amount": -1}),
        pass_negative=Amount(),
        currency="USD",
        version="1",
    ),
    decision=ExpectedUtility(),
    maturity=timedelta(days=1),
    policy=Policy(latency_budget_us=300, largest_unit_loss=8_000),
    holdout=timedelta(days=1),
    entity="card",
)


def write_log(path: Path) -> None:
    """A log of `ROWS` with a candidate's score and an outcome each; a million of them are judged."""
    rng = np.random.default_rng(SEED)
    store = LogStore(path)
    ledger = store.new_ledger()
    ledger.offer(ROWS)
    store.open_run(ledger)
    start_ns = 15_706 * DAY_NS
    countries = np.array([f"C{number:02}" for number in range(60)], object)
    for first in range(0, ROWS, BATCH):
        event_ns = start_ns + (np.arange(first, first + BATCH) * (DAYS * DAY_NS // ROWS))
        label = rng.random(BATCH) < 0.02  # noqa: PLR2004 - a share
        served, scored = _answers(rng, label), _answers(rng, label)
        ids = [f"r{row}" for row in range(first, first + BATCH)]
        cards = np.array([f"card-{number}" for number in rng.integers(0, 200_000, BATCH)], object)
        table = SIGNATURE.pack_columns(
            {
                **{f"n{number}": rng.normal(size=BATCH) for number in range(_NUMBERS - 1)},
                "amount": np.minimum(rng.lognormal(np.log(80), 1.2, BATCH), 2_000),
                "hour": rng.integers(0, 24, BATCH),
                "card": cards,
                "country": countries[rng.integers(0, 60, BATCH)],
            }
        )
        cpu_ns = rng.integers(20_000, 80_000, (2, BATCH))
        nothing = np.zeros(BATCH, np.int64)
        store.write(
            [
                ServedBatch(
                    model=CHAMPION,
                    request_ids=to_ids(ids),
                    client=np.full(BATCH, "", object),
                    received_ns=event_ns,
                    event_ns=event_ns,
                    group=np.arange(BATCH),
                    blocks=table,
                    features=np.zeros((BATCH, 1), np.float32),
                    score=served,
                    decision=served > 0.5,  # noqa: PLR2004
                    propensity=np.ones(BATCH, np.float32),
                    queue_ns=nothing,
                    failed_ns=nothing,
                    infer_ns=cpu_ns[0],
                    cpu_ns=cpu_ns[0],
                )
            ],
            [
                ScoreBatch(
                    model=CANDIDATE,
                    champion=CHAMPION,
                    request_ids=to_ids(ids),
                    score=scored,
                    decision=scored > 0.5,  # noqa: PLR2004
                    infer_ns=cpu_ns[1],
                    cpu_ns=cpu_ns[1],
                    failures=((Failure.NONE, ""),),
                    failure_rows=nothing,
                )
            ],
            [
                [
                    Outcome(one, float(positive), None, int(when) + DAY_NS // 2)
                    for one, positive, when in zip(ids, label, event_ns, strict=True)
                ]
            ],
        )
    store.close_run()
    store.close()


def measure() -> dict[str, Any]:
    """Gather the evidence in a process that does nothing else. The log is made once and kept in var/."""
    path = WORK / "gate" / f"{ROWS}-rows-format-{FORMAT}" / "log.db"
    if not path.exists():
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent.parent) as folder:
            write_log(Path(folder, "made", "log.db"))
            Path(folder, "made").rename(path.parent)
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "benchmarks.gate.million", str(path)], check=True, stdout=subprocess.PIPE
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return {**found, "log_mb": path.stat().st_size / 1e6}


def _answers(rng: np.random.Generator, label: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Scores that know six frauds in ten, and are wrong on one good row in a hundred."""
    acted = np.where(label, rng.random(BATCH) < 0.6, rng.random(BATCH) < 0.01)  # noqa: PLR2004
    return np.where(acted, 0.9, 0.1).astype(np.float32)


def _gather(path: Path) -> None:
    began = time.perf_counter()
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with LogReader(path) as reader:
        (evidence,) = gather(TASK, reader, CHAMPION, [CANDIDATE])
        digest = evidence.digest
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - began,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "idle_mb": before_mb,
                "joined": evidence.joined,
                "units": evidence.cycles[-1].units,
                "digest": digest,
            }
        )
    )


if __name__ == "__main__":
    _gather(Path(sys.argv[1]))
