"""What is served is what the trainer computes offline, bit for bit, on 50,000 real flights.

The logistic regression makes the replies and the boosting scores the same rows in the shadow; then the
boosting makes the replies.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import flights_data
import numpy as np
import pytest
from sidecar_process import (
    WHY,
    SidecarProcess,
    admit_without_check,
    promote,
    wait_for_activation,
    wait_until,
)
from traffic import Traffic

from sidecar.bundle import TRANSFORM, Bundle
from sidecar.client import Client, PredictionReply, Record
from sidecar.domain import Failure, ScoreBatch, ServedBatch, to_texts
from sidecar.registry import ModelState, Registry
from sidecar.session import load_model
from sidecar.signature import Blocks
from sidecar.store.reader import LogReader
from trainer.export import compute_features
from trainer.fit import fit_candidate
from trainer.snapshot import from_history
from trainer.task import Task, load_task

TASK = Path(flights_data.__file__).with_name("task.py")
TRAINED_UNTIL = "2013-03-16"
ROWS, ROWS_OF_BOOSTING, SINGLE_ROWS = 50_000, 5_000, 500
ROOM_FOR_ALL = {
    "SIDECAR_SHADOW_QUEUE_ROWS": str(ROWS),
    "SIDECAR_SHADOW_COPY_SHARE": "0",
    "SIDECAR_LIMITS_RING_ROWS": str(ROWS),
}


class Offline(NamedTuple):
    """What the trainer makes of rows in one batch."""

    blocks: Blocks
    features: np.ndarray
    score: np.ndarray
    decision: np.ndarray


class Served(NamedTuple):
    """What left the sidecar, and what it logged."""

    linear: Bundle
    boosting: Bundle
    flights: flights_data.Flights
    replies: Sequence[PredictionReply]
    log: Sequence[ServedBatch]
    shadow: Sequence[ScoreBatch]


@pytest.fixture(scope="module")
def task():
    return load_task(TASK)


@pytest.fixture(scope="module")
def served(task: Task, tmp_path_factory) -> Served:
    home = tmp_path_factory.mktemp("parity") / "home"
    until_ns = flights_data.new_york_ns(TRAINED_UNTIL)
    snapshot = from_history(task, until_ns, root=home / "snapshots")
    linear, boosting = (
        fit_candidate(task, recipe, snapshot, bundles=home / "bundles", progress=lambda _: None).bundle
        for recipe in ("logistic", "boosting")
    )
    admit_without_check(home, linear, boosting)
    promote(home, linear)
    with Registry(home / "registry.db") as registry:
        registry.move(boosting.model.digest, expected=ModelState.ADMITTED, to=ModelState.SHADOW, reason=WHY)

    flights = flights_data.load_flights()
    first = int(np.searchsorted(flights.event_ns, until_ns))
    flights = flights.take(slice(first, first + ROWS + ROWS_OF_BOOSTING))
    ticks = Traffic(flights, until_ns).until(int(flights.event_ns[-1]) + 1)
    requests = [request for tick in ticks for request in tick.requests]
    records = [Record(request.fields, request.request_id, request.event_ns) for request in requests]
    with SidecarProcess(home, **ROOM_FOR_ALL) as sidecar, Client(sidecar.target) as client:
        replies = list(client.predict_many(records[:ROWS]))
        with LogReader(home / "log.db") as log:
            wait_until(lambda: log.counts().scores == ROWS)
        assert wait_for_activation(home, promote(home, boosting)).error == ""
        replies += client.predict_many(records[ROWS:])
        assert sidecar.stop() == 0
    with LogReader(home / "log.db") as log:
        return Served(
            linear,
            boosting,
            flights,
            replies,
            log=list(log.served()),
            shadow=list(log.scores(boosting.model.digest, linear.model.digest)),
        )


def offline(task: Task, bundle: Bundle, flights: flights_data.Flights) -> Offline:
    blocks = task.signature.pack_columns(flights.columns)
    features = compute_features((bundle.path / TRANSFORM).read_bytes(), blocks)
    prediction = load_model(bundle.path).run(blocks)
    return Offline(blocks, features, prediction.score, prediction.decision)


def parts(served: Served):
    """Bundle, flights and replies of each champion."""
    return (
        (served.linear, served.flights.take(slice(ROWS)), served.replies[:ROWS]),
        (served.boosting, served.flights.take(slice(ROWS, None)), served.replies[ROWS:]),
    )


def bits(floats) -> np.ndarray:
    return np.ascontiguousarray(floats, np.float32).view(np.uint32)


def assert_same_bits(found, expected):
    assert np.array_equal(bits(found), bits(expected))


def test_replies_are_what_the_trainer_computes(task: Task, served: Served):
    for bundle, flights, replies in parts(served):
        expected = offline(task, bundle, flights)
        assert [reply.request_id for reply in replies] == flights.request_ids.tolist()
        assert {reply.model for reply in replies} == {bundle.model}
        assert_same_bits([reply.score for reply in replies], expected.score)
        assert [reply.decision for reply in replies] == expected.decision.tolist()
        assert 0 < np.count_nonzero(expected.decision) < len(expected.decision)


def test_logged_rows_are_what_the_trainer_computes(task: Task, served: Served):
    for bundle, flights, _ in parts(served):
        expected = offline(task, bundle, flights)
        batches = [batch for batch in served.log if batch.model == bundle.model]
        blocks = Blocks.concat([batch.blocks for batch in batches])
        assert [
            key for batch in batches for key in to_texts(batch.request_ids)
        ] == flights.request_ids.tolist()
        assert np.array_equal(np.concatenate([batch.event_ns for batch in batches]), flights.event_ns)
        assert_same_bits(blocks.numbers, expected.blocks.numbers)
        assert np.array_equal(blocks.integers, expected.blocks.integers)
        assert np.array_equal(blocks.texts, expected.blocks.texts)
        assert_same_bits(np.concatenate([batch.features for batch in batches]), expected.features)
        assert_same_bits(np.concatenate([batch.score for batch in batches]), expected.score)
        assert np.array_equal(np.concatenate([batch.decision for batch in batches]), expected.decision)


def test_shadow_scores_are_what_the_trainer_computes(task: Task, served: Served):
    flights = served.flights.take(slice(ROWS))
    expected = offline(task, served.boosting, flights)
    assert [
        key for batch in served.shadow for key in to_texts(batch.request_ids)
    ] == flights.request_ids.tolist()
    assert {why for batch in served.shadow for why in batch.failure} == {Failure.NONE}
    assert_same_bits(np.concatenate([batch.score for batch in served.shadow]), expected.score)
    assert np.array_equal(np.concatenate([batch.decision for batch in served.shadow]), expected.decision)


def test_a_row_alone_gives_what_it_gives_in_a_batch(task: Task, served: Served):
    for bundle, flights, _ in parts(served):
        expected = offline(task, bundle, flights)
        model = load_model(bundle.path)
        for row in np.linspace(0, len(flights) - 1, SINGLE_ROWS).astype(int).tolist():
            alone = model.run(expected.blocks.take(slice(row, row + 1)))
            assert_same_bits(alone.features[0], expected.features[row])
            assert_same_bits(alone.score[0], expected.score[row])
            assert alone.decision[0] == expected.decision[row]
