"""How an engine takes outcomes, whatever it is made of."""

import math
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from running_engine import RunningEngine, status_of_call
from tiny_bundles import row

from sidecar.client import CallError
from sidecar.config import Limits
from sidecar.domain import Outcome, OutcomeReceipt
from sidecar.errors import UnavailableError
from sidecar.v1 import prediction_pb2

SECOND = 1_000_000_000


def test_an_outcome_is_acknowledged_only_when_it_is_settled(engine):
    engine.stop_recorder()
    outcomes = [Outcome("a", 1.0, None, 5), Outcome("b", 0.0, -2.5, 7 * SECOND + 3)]
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(engine.client.record_outcomes, outcomes)
        [pending] = engine.engine.drain(10, 60).outcomes
        assert list(pending.outcomes) == outcomes
        assert engine.client.predict(row()).score > 0, "predictions do not wait for outcomes"
        assert not call.done()
        engine.engine.settle(pending.ticket, OutcomeReceipt(1, 0, ("b",)))
        assert call.result(60) == OutcomeReceipt(1, 0, ("b",))


def test_an_outcome_that_could_not_be_stored_is_unavailable(engine):
    engine.stop_recorder()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(engine.client.record_outcome, "a", 1)
        [pending] = engine.engine.drain(10, 60).outcomes
        engine.engine.settle(pending.ticket, UnavailableError("the disk is full"))
        with pytest.raises(CallError, match="disk is full") as caught:
            call.result(60)
    assert caught.value.status is grpc.StatusCode.UNAVAILABLE


def test_an_outcome_without_a_time_became_known_on_arrival(engine):
    before = time.time_ns()
    engine.client.record_outcome("a", label=1, value=3)
    assert before <= engine.outcomes[0].observed_ns <= time.time_ns()
    assert engine.outcomes[0].value == 3.0


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"request_id": ""}, "request_id"),
        ({"request_id": "a b"}, "request_id"),
        ({"request_id": "a", "label": math.nan}, "label"),
        ({"request_id": "a", "label": math.inf}, "label"),
        ({"request_id": "a", "label": 0.5}, "label"),
        ({"request_id": "a", "value": math.nan}, "value"),
        ({"request_id": "a", "observed_time": Timestamp(seconds=2**62)}, "observed_time"),
    ],
)
def test_one_bad_outcome_refuses_the_whole_call_and_is_named(engine, bad, word):
    good = prediction_pb2.Outcome(request_id="good", label=1)
    message = prediction_pb2.RecordOutcomeRequest(outcomes=[good, prediction_pb2.Outcome(**bad)])
    code, detail = status_of_call(engine.stub.RecordOutcome, message)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert detail.startswith("outcome 1 ")
    assert word in detail
    assert engine.outcomes == []


def test_a_call_brings_one_to_ten_thousand_outcomes(engine):
    many = [Outcome(f"r{i}", 1.0, None, 1) for i in range(10_001)]
    for outcomes in ([], many):
        with pytest.raises(CallError) as caught:
            engine.client.record_outcomes(outcomes)
        assert caught.value.status is grpc.StatusCode.INVALID_ARGUMENT
    assert engine.client.record_outcomes(many[1:]).stored == 10_000


def test_outcomes_of_callers_that_gave_up_are_held_up_to_the_limit(kind, tmp_path, bundle):
    with RunningEngine(tmp_path, kind, limits=Limits(max_in_flight=3), champion=bundle) as running:
        running.stop_recorder()
        statuses = []
        for _ in range(4):  # nobody stores anything, and each caller gives up
            with pytest.raises(CallError) as caught:
                running.client._record([prediction_pb2.Outcome(request_id="a", label=1)], 0.3)
            statuses.append(caught.value.status)
            time.sleep(0.1)  # its place is free again
        assert statuses == [grpc.StatusCode.DEADLINE_EXCEEDED] * 3 + [grpc.StatusCode.RESOURCE_EXHAUSTED]
        assert caught.value.retry_after == 0.1
        for pending in running.engine.drain(10, 60).outcomes:
            running.engine.settle(pending.ticket, OutcomeReceipt(1, 0, ()))
        running.start_recorder()
        assert running.client.record_outcome("a", label=1).stored == 1
