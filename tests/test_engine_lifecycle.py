"""Limits, health and shutdown of an engine, whatever it is made of."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from infer_messages import infer_request
from running_engine import NOT_SERVING, SERVING, RunningEngine, failure_of, request, status_of_call
from tiny_bundles import row

from sidecar.client import CallError, Client
from sidecar.config import Limits
from sidecar.domain import OutcomeReceipt, to_texts
from sidecar.engine.contract import STAGES, StageTimes
from sidecar.ledger import Ledger
from sidecar.v1 import prediction_pb2

SERVICES = ("", "sidecar.v1.PredictionService", "inference.GRPCInferenceService")


def test_calls_over_the_limit_are_refused_while_health_still_answers(kind, tmp_path, bundle):
    with RunningEngine(tmp_path, kind, limits=Limits(max_in_flight=2), champion=bundle) as running:
        finish = threading.Event()

        def one_and_wait():
            yield request(row())
            finish.wait()

        streams = [running.stub.PredictStream(one_and_wait(), timeout=60) for _ in range(2)]
        for stream in streams:
            next(stream)
        refused = failure_of(running.client, row())
        assert refused.status is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert str(refused) == "2 calls are in flight, the limit; retry with back-off"
        assert refused.retry_after == 0.1
        assert running.health() == SERVING
        assert running.engine.stats().errors == {"RESOURCE_EXHAUSTED": 1}
        finish.set()
        for stream in streams:
            assert list(stream) == []
        assert running.client.predict(row()).score > 0


def test_a_caller_that_gives_up_frees_its_place(kind, tmp_path, bundle):
    with RunningEngine(tmp_path, kind, limits=Limits(max_in_flight=1), champion=bundle) as running:
        running.stop_recorder()
        with pytest.raises(CallError) as caught:
            running.client._record([prediction_pb2.Outcome(request_id="a", label=1)], 0.2)
        assert caught.value.status is grpc.StatusCode.DEADLINE_EXCEEDED
        [pending] = running.engine.drain(10, 60).outcomes
        running.engine.settle(pending.ticket, OutcomeReceipt(1, 0, ()))
        deadline = time.monotonic() + 60
        while True:
            failure = failure_of(running.client, row())
            if failure is None:
                break
            assert failure.status is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert time.monotonic() < deadline


def test_stop_lets_calls_in_progress_finish_and_keeps_rows_drainable(engine):
    engine.stop_recorder()
    go_on = threading.Event()

    def requests():
        yield request(row(), request_id="before")
        go_on.wait()
        yield request(row(), request_id="after")

    stream = engine.stub.PredictStream(requests(), timeout=60)
    assert next(stream).request_id == "before"
    watch = health_pb2_grpc.HealthStub(engine.channel).Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == SERVING
    stopping = engine.later(engine.engine.stop(60))
    assert next(watch).status == NOT_SERVING
    while (failure := failure_of(engine.client, row())) is None:
        pass  # until the server has said that it takes no more
    assert failure.status is grpc.StatusCode.UNAVAILABLE
    assert not stopping.done()
    go_on.set()
    assert [reply.request_id for reply in stream] == ["after"]
    stopping.result(30)  # neither the idle channels nor the health watch hold it up to the end of the grace
    ids = [
        request_id
        for batch in engine.engine.drain(1000, 0).served
        for request_id in to_texts(batch.request_ids)
    ]
    assert ids[0] == "before"
    assert ids[-1] == "after"


def test_a_call_that_comes_while_it_stops_is_unavailable_and_not_cancelled(engine):
    def until_refused(_):
        with Client(engine.endpoints.uds, deadline=30) as client:
            while (failure := failure_of(client, row())) is None:
                pass
            return failure.status

    with ThreadPoolExecutor(8) as pool:
        refused = [pool.submit(until_refused, number) for number in range(8)]
        time.sleep(0.3)
        engine.call(engine.engine.stop(30))
        assert {status.result(60) for status in refused} == {grpc.StatusCode.UNAVAILABLE}


def test_stop_never_acknowledges_an_outcome_that_was_not_settled(engine):
    engine.stop_recorder()
    with ThreadPoolExecutor(2) as pool:
        lost = pool.submit(engine.client.record_outcome, "lost", 1)
        [pending] = engine.engine.drain(10, 60).outcomes
        engine.call(engine.engine.stop(0.5))
        with pytest.raises(CallError) as caught:
            lost.result(60)
    assert caught.value.status is grpc.StatusCode.UNAVAILABLE
    engine.engine.settle(pending.ticket, OutcomeReceipt(1, 0, ()))  # too late; nobody listens


def test_an_outcome_settled_within_the_grace_is_acknowledged(engine):
    engine.stop_recorder()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(engine.client.record_outcome, "kept", 1)
        [pending] = engine.engine.drain(10, 60).outcomes
        stopping = engine.later(engine.engine.stop(60))
        engine.engine.settle(pending.ticket, OutcomeReceipt(1, 0, ()))
        assert call.result(60).stored == 1
        stopping.result(60)


def test_stages_are_timed_for_every_message_that_is_answered(engine):
    assert engine.engine.stats().stages == dict.fromkeys(STAGES, StageTimes())
    messages = [request(row()) for _ in range(20)]
    replies = [engine.stub.Predict(messages[0], timeout=30), *engine.stub.PredictStream(iter(messages))]
    engine.oip.ModelInfer(infer_request({name: [value] for name, value in row().items()}, raw=True))
    status_of_call(engine.stub.Predict, request(row(amount=-1.0)))
    stages = engine.engine.stats().stages
    assert tuple(stages) == STAGES
    for times in stages.values():
        assert times.count == 22
        assert 0 <= times.p50_ns <= times.p99_ns <= times.p999_ns <= times.max_ns
    for name in ("decode", "infer", "encode"):
        longest = max(getattr(reply.timings, f"{name}_ns") for reply in replies)
        assert stages[name].max_ns >= longest > 0


def test_a_stopped_engine_still_counts_and_may_be_stopped_again(engine):
    engine.client.predict(row())
    status_of_call(engine.stub.Predict, request(row(amount=-1.0)))
    before = engine.engine.stats()
    engine.stop(0)
    engine.stop(0)
    after = engine.engine.stats()
    assert (after.served, after.errors, after.stages) == (1, {"INVALID_ARGUMENT": 1}, before.stages)
    assert not (engine.home / "sidecar.sock").exists()


def test_an_engine_says_its_name_and_counts_from_zero(kind, tmp_path):
    with RunningEngine(tmp_path, kind) as running:
        assert running.engine.name == kind
        stats = running.engine.stats()
        assert (stats.served, stats.dropped, stats.queued, stats.errors) == (0, 0, 0, {})
        json.dumps(stats.errors)
        assert isinstance(running.ledger, Ledger)
