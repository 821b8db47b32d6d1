"""Writes the small task's traffic into a real log, as a sidecar with given champion and candidates would."""

import numpy as np
from small_task import SIGNATURE, Traffic

from sidecar.domain import Failure, ModelId, Outcome, ScoreBatch, ServedBatch, to_ids
from sidecar.exploration import NO_EXPLORATION
from sidecar.store.log import LogStore

CHAMPION = ModelId("small", "champion", "c" * 64)


def model(letter: str) -> ModelId:
    return ModelId("small", f"candidate-{letter}", letter * 64)


def oracle(traffic: Traffic, *, wrong: float, seed: int) -> np.ndarray:
    """Scores that know the label, except on a share of rows where they say the opposite."""
    flipped = np.random.default_rng(seed).random(len(traffic.label)) < wrong
    return np.where(flipped, 1 - traffic.label, traffic.label).astype(np.float32) * 0.8 + 0.1


def served(
    traffic: Traffic,
    score: np.ndarray,
    rows,
    champion: ModelId = CHAMPION,
    *,
    cpu_ns=20_000,
    exploration=NO_EXPLORATION,
) -> ServedBatch:
    rows = np.asarray(rows)
    count = len(rows)
    ids = [traffic.request_ids[row] for row in rows.tolist()]
    columns = {name: column[rows] for name, column in traffic.columns.items()}
    return ServedBatch(
        model=champion,
        request_ids=to_ids(ids),
        client=np.full(count, "", object),
        received_ns=traffic.event_ns[rows] + 5,
        event_ns=traffic.event_ns[rows],
        group=np.arange(count),
        blocks=SIGNATURE.pack_columns(columns),
        features=np.zeros((count, 1), np.float32),
        score=score[rows],
        decision=score[rows] > 0.5,
        propensity=exploration.propensity(ids, score[rows] > 0.5),
        queue_ns=np.zeros(count, np.int64),
        failed_ns=np.zeros(count, np.int64),
        infer_ns=np.full(count, 2 * cpu_ns),
        cpu_ns=np.full(count, cpu_ns),
    )


def scored(
    traffic: Traffic,
    score: np.ndarray,
    rows,
    candidate: ModelId,
    *,
    champion: ModelId = CHAMPION,
    cpu_ns=30_000,
    failure=None,
) -> ScoreBatch:
    rows = np.asarray(rows)
    ids = to_ids([traffic.request_ids[row] for row in rows.tolist()])
    if failure is not None:
        return ScoreBatch.failed(candidate, champion, ids, failure, "made to fail")
    count = len(rows)
    return ScoreBatch(
        model=candidate,
        champion=champion,
        request_ids=ids,
        score=score[rows],
        decision=score[rows] > 0.5,
        infer_ns=np.full(count, 2 * cpu_ns),
        cpu_ns=np.full(count, cpu_ns),
        failures=((Failure.NONE, ""),),
        failure_rows=np.zeros(count, np.int64),
    )


def outcomes(traffic: Traffic, rows=None) -> list[Outcome]:
    rows = range(len(traffic.label)) if rows is None else rows
    return [
        Outcome(traffic.request_ids[row], float(traffic.label[row]), None, int(traffic.known_ns[row]))
        for row in rows
    ]


def write_log(path, served_batches=(), score_batches=(), outcome_lists=()):
    """Add to the log at `path` in one run; returns the path."""
    store = LogStore(path)
    ledger = store.new_ledger()
    ledger.offer(sum(map(len, served_batches)))
    store.open_run(ledger)
    store.write(served_batches, score_batches, outcome_lists)
    store.close_run()
    store.close()
    return path
