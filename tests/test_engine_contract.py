"""What every engine must do, whatever it is made of."""

import json
import math
import shutil
import socket
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hypothesis import given, settings
from hypothesis import strategies as st
from running_engine import ENGINES, NOT_SERVING, SERVING, RunningEngine, request, status_of_call
from tiny_bundles import SIGNATURE, TRIGGER, Misbehaviour, row, tiny_bundle

from sidecar.client import CallError, Client
from sidecar.config import Limits, Listeners
from sidecar.domain import NOTHING_DEPLOYED, BundleRef, Deployment, Outcome, OutcomeReceipt
from sidecar.errors import BundleError, ConfigError, InvalidRequestError, UnavailableError
from sidecar.ledger import Ledger
from sidecar.session import load_model
from sidecar.v1 import prediction_pb2

SERVICES = ("", "sidecar.v1.PredictionService", "inference.GRPCInferenceService")
SECOND = 1_000_000_000


@pytest.fixture(params=sorted(ENGINES))
def kind(request):
    return request.param


@pytest.fixture
def bundle(tmp_path):
    return tiny_bundle(tmp_path / "bundles")


@pytest.fixture
def engine(kind, tmp_path, bundle):
    with RunningEngine(tmp_path, kind, champion=bundle) as running:
        yield running


def status_or_none(client):
    """The status that a prediction fails with, None when it is answered."""
    try:
        client.predict(row())
    except CallError as error:
        return error.status
    return None


# Deployment


def test_refuses_predictions_until_a_champion_is_deployed(kind, tmp_path, bundle):
    with RunningEngine(tmp_path, kind) as running:
        assert running.engine.deployment == NOTHING_DEPLOYED
        assert [running.health(name) for name in SERVICES] == [NOT_SERVING] * 3
        code, _ = status_of_call(running.stub.Predict, request(row()))
        assert code is grpc.StatusCode.FAILED_PRECONDITION

        running.deploy(bundle)
        assert running.engine.deployment == Deployment(1, bundle.ref)
        assert [running.health(name) for name in SERVICES] == [SERVING] * 3
        assert running.client.predict(row()).model == bundle.model

        running.deploy(None)
        assert [running.health(name) for name in SERVICES] == [NOT_SERVING] * 3
        assert status_of_call(running.stub.Predict, request(row()))[0] is grpc.StatusCode.FAILED_PRECONDITION


def test_keeps_serving_when_the_next_champion_cannot_be_loaded(engine, tmp_path, bundle):
    broken = tiny_bundle(tmp_path / "broken", "2")
    (broken.path / "pipeline.onnx").chmod(0o644)
    (broken.path / "pipeline.onnx").write_bytes(b"not a graph")
    before = engine.engine.deployment
    for champion in (
        broken.ref,
        BundleRef(broken.model, tmp_path / "absent"),
        BundleRef(broken.model, bundle.path),
    ):
        with pytest.raises(BundleError):
            engine.call(engine.engine.deploy(Deployment(9, champion)))
        assert engine.engine.deployment == before
        assert engine.client.predict(row()).model == bundle.model
        assert engine.health() == SERVING


def test_a_champion_that_serves_already_is_not_loaded_again(engine, bundle):
    shutil.rmtree(bundle.path)
    engine.deploy(bundle)
    assert engine.engine.deployment == Deployment(2, bundle.ref)
    assert engine.client.predict(row()).model == bundle.model


def test_a_swap_under_load_fails_no_call_and_mixes_no_reply(engine, tmp_path, bundle):
    other = tiny_bundle(tmp_path / "bundles", "2", weight=-3.0)
    expected = {
        each.model: float(load_model(each.path).run(SIGNATURE.pack(row())).score[0])
        for each in (bundle, other)
    }
    done = threading.Event()

    replies = []

    def ask():
        while not done.is_set():
            replies.append(engine.client.predict(row()))

    with ThreadPoolExecutor(3) as pool:
        callers = [pool.submit(ask) for _ in range(3)]
        try:
            for turn in range(8):
                engine.deploy((other, bundle)[turn % 2])
                while len(replies) < 50 * (turn + 1) and not any(caller.done() for caller in callers):
                    time.sleep(0.001)
        finally:
            done.set()
        for caller in callers:
            caller.result()
    assert {reply.model for reply in replies} == set(expected)
    assert all(reply.score == expected[reply.model] for reply in replies)
    rows = engine.recorded()
    for reply in replies:
        batch, at = rows[reply.request_id]
        assert (batch.model, batch.score[at]) == (reply.model, np.float32(reply.score))
    assert engine.engine.stats().errors == {}


# Prediction


def test_a_reply_and_its_recorded_row_say_what_the_model_says(engine, bundle):
    before = time.time_ns()
    reply = engine.client.predict(
        row(x=None, colour=None), request_id="mine", event_ns=1_700_000_000_123_456_789
    )
    after = time.time_ns()
    blocks = SIGNATURE.pack(row(x=None, colour=None))
    expected = load_model(bundle.path).run(blocks)
    assert (reply.request_id, reply.model) == ("mine", bundle.model)
    assert np.float32(reply.score) == expected.score[0]
    assert reply.decision is bool(expected.decision[0])
    assert reply.timings.infer_ns > 0
    assert reply.timings.decode_ns > 0
    assert reply.timings.encode_ns > 0
    assert reply.timings.queue_ns >= 0

    batch, at = engine.recorded()["mine"]
    assert batch.model == bundle.model
    assert batch.blocks.take([at]).equals(blocks)
    assert batch.features[at].tobytes() == expected.features[0].tobytes()
    assert batch.score[at] == expected.score[0]
    assert batch.decision[at] == expected.decision[0]
    assert batch.event_ns[at] == 1_700_000_000_123_456_789
    assert before <= batch.received_ns[at] <= after
    assert batch.infer_ns[at] == reply.timings.infer_ns
    assert batch.cpu_ns[at] > 0
    assert batch.features.dtype == batch.score.dtype == np.float32
    assert batch.decision.dtype == bool


def test_an_event_without_a_time_happens_on_arrival_and_ids_are_made(engine):
    replies = [engine.client.predict(row()) for _ in range(50)]
    rows = engine.recorded()
    assert len({reply.request_id for reply in replies}) == 50
    groups = set()
    for reply in replies:
        batch, at = rows[reply.request_id]
        assert batch.event_ns[at] == batch.received_ns[at]
        groups.add(int(batch.group[at]))
    assert len(groups) == 50, "each call is an inference group of its own"


def test_the_signature_digest_is_checked_when_given(engine):
    engine.stub.Predict(request(row(), signature_digest=SIGNATURE.digest), timeout=30)
    code, detail = status_of_call(engine.stub.Predict, request(row(), signature_digest="0" * 64))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert SIGNATURE.digest[:8] in detail


@pytest.mark.parametrize("request_id", ["a b", "é", "x" * 129, "line\n", "\x7f"])
def test_a_request_id_is_visible_ascii_of_bounded_length(engine, request_id):
    code, detail = status_of_call(engine.stub.Predict, request(row(), request_id=request_id))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "request_id" in detail


def test_the_longest_request_id_is_taken(engine):
    assert engine.client.predict(row(), request_id="!" + "~" * 127).request_id == "!" + "~" * 127


@pytest.mark.parametrize(
    "event_time",
    [
        Timestamp(seconds=2**62),
        Timestamp(seconds=-(2**62)),
        Timestamp(nanos=-1),
        Timestamp(nanos=SECOND),
        Timestamp(seconds=int(time.time()) + 2 * 86_400),  # would make other rows look matured
    ],
)
def test_an_event_time_must_fit(engine, event_time):
    code, detail = status_of_call(engine.stub.Predict, request(row(), event_time=event_time))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "event_time" in detail


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colur": "red"}, ["'colur'", "did you mean 'colour'"]),
        ({"zzz": 1}, ["'zzz'", "remove it"]),
        ({"n" * 100_000: 1}, ["'nnn"]),
        ({"x": "text"}, ["'x'", "send a number"]),
        ({"amount": math.nan}, ["'amount'", "must not be missing"]),
        ({"amount": None}, ["'amount'", "must not be missing"]),
        ({"amount": -1.0}, ["'amount'", "from 0 to 1e+06"]),
        ({"x": math.inf}, ["'x'", "finite"]),
        ({"x": 1e39}, ["'x'", "finite"]),
        ({"trigger": 1.5}, ["'trigger'", "send an integer"]),
        ({"trigger": None}, ["'trigger'", "must not be missing"]),
        ({"colour": 3}, ["'colour'", "send text"]),
        ({"colour": "é" * 513}, ["'colour'", "shorter"]),
        ({"colour": "a\0b"}, ["'colour'", "NUL"]),
    ],
)
def test_a_field_that_does_not_fit_is_named(engine, change, words):
    code, detail = status_of_call(engine.stub.Predict, request(row() | change))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert all(word in detail for word in words), detail
    assert engine.engine.stats().served == engine.ledger.offered == 0
    assert engine.engine.stats().errors == {"INVALID_ARGUMENT": 1}


def test_a_field_left_out_or_without_a_value_is_named(engine):
    fields = row()
    del fields["x"]
    assert "'x' is left out" in status_of_call(engine.stub.Predict, request(fields))[1]
    message = request(row())
    message.fields["amount"].ClearField("number")
    code, detail = status_of_call(engine.stub.Predict, message)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "'amount' has no value" in detail


def test_bytes_that_are_no_message_are_the_callers_mistake(engine):
    predict = engine.channel.unary_unary("/sidecar.v1.PredictionService/Predict")
    assert status_of_call(predict, b"\xff\xff\xff")[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_a_message_over_the_limit_is_refused(kind, tmp_path, bundle):
    with RunningEngine(tmp_path, kind, limits=Limits(max_message_bytes=10_000), champion=bundle) as running:
        big = request(row(colour="x" * 20_000))
        assert status_of_call(running.stub.Predict, big)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert running.client.predict(row()).score > 0


def test_a_stream_answers_in_order_until_a_request_does_not_fit(engine, bundle):
    model = load_model(bundle.path)
    rows = [row(x=float(x)) for x in range(-20, 20)]
    messages = [request(fields, request_id=f"r{i}") for i, fields in enumerate(rows)]
    replies = list(engine.stub.PredictStream(iter(messages), timeout=30))
    assert [reply.request_id for reply in replies] == [f"r{i}" for i in range(40)]
    scores = [model.run(SIGNATURE.pack(fields)).score[0] for fields in rows]
    assert [np.float32(reply.score) for reply in replies] == scores

    with pytest.raises(grpc.RpcError) as caught:
        list(engine.stub.PredictStream(iter([messages[0], request(row(amount=-5.0))]), timeout=30))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "'amount'" in caught.value.details()


def test_a_champion_that_raises_fails_its_call_and_no_other(kind, tmp_path):
    raising = tiny_bundle(tmp_path / "bundles", misbehaviour=Misbehaviour.RAISES)
    with RunningEngine(tmp_path, kind, champion=raising) as running:
        code, detail = status_of_call(running.stub.Predict, request(row(trigger=TRIGGER)))
        assert code is grpc.StatusCode.INTERNAL
        assert "tiny/1" in detail
        assert running.client.predict(row()).score > 0
        assert running.engine.stats().errors == {"INTERNAL": 1}
        assert running.engine.stats().served == 1


VALUES = st.one_of(
    st.none(),
    st.floats(width=64),
    st.floats(-1e6, 1e6, width=32),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=8),
    st.sampled_from(["red", "blue", "", 0, 0.0, -0.0, 3.4028235677973366e38, 1e-46, TRIGGER]),
)
RECORDS = st.one_of(
    st.builds(
        row,
        x=st.one_of(st.none(), st.floats(-1e30, 1e30), st.integers(-(2**62), 2**62)),
        amount=st.floats(0, 1e6),
        trigger=st.integers(-(2**63), 2**63 - 1),
        colour=st.one_of(st.none(), st.just("red"), st.text(max_size=20)),
    ),
    st.dictionaries(st.sampled_from(["x", "amount", "trigger", "colour", "size"]), VALUES),
    st.fixed_dictionaries({"x": VALUES, "amount": VALUES, "trigger": VALUES, "colour": VALUES}),
)


def test_any_record_is_answered_as_the_library_does_or_refused_by_field_name(engine, bundle):
    model = load_model(bundle.path)
    expected = {}

    @settings(max_examples=400, deadline=None)
    @given(RECORDS)
    def check(record):
        try:
            blocks = SIGNATURE.pack(record)
        except InvalidRequestError as error:
            field = str(error).split("'")[1]
            code, detail = status_of_call(engine.stub.Predict, request(record))
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            # With several mistakes, engines may differ in the one they name.
            assert f"'{field}'" in detail or any(f"'{name}'" in detail for name in record)
            return
        prediction = model.run(blocks)
        reply = engine.stub.Predict(request(record), timeout=30)
        assert np.float32(reply.score).tobytes() == prediction.score[0].tobytes()
        assert reply.decision == prediction.decision[0]
        expected[reply.request_id] = (blocks, prediction)

    check()
    rows = engine.recorded()
    assert rows.keys() == expected.keys()
    for request_id, (blocks, prediction) in expected.items():
        batch, at = rows[request_id]
        assert batch.blocks.take([at]).equals(blocks)
        assert batch.features[at].tobytes() == prediction.features[0].tobytes()


# What the recorder sees


def test_a_full_ring_drops_rows_and_counts_them_without_failing_a_reply(kind, tmp_path, bundle):
    with RunningEngine(tmp_path, kind, limits=Limits(ring_rows=10), champion=bundle) as running:
        running.stop_recorder()
        replies = [running.client.predict(row(), request_id=f"r{i}") for i in range(15)]
        assert len(replies) == 15
        stats = running.engine.stats()
        assert (stats.served, stats.dropped, stats.queued, stats.errors) == (15, 5, 10, {})
        assert (running.ledger.offered, running.ledger.dropped) == (15, 5)
        first = running.engine.drain(4, 0).served
        assert [request_id for batch in first for request_id in batch.request_ids] == ["r0", "r1", "r2", "r3"]
        running.client.predict(row(), request_id="after")
        rest = running.engine.drain(100, 0).served
        kept = [request_id for batch in rest for request_id in batch.request_ids]
        assert kept == ["r4", "r5", "r6", "r7", "r8", "r9", "after"]
        assert running.engine.stats().queued == 0


def test_rows_of_different_champions_are_drained_apart_and_in_order(engine, tmp_path, bundle):
    other = tiny_bundle(tmp_path / "bundles", "2", weight=-3.0)
    engine.stop_recorder()
    engine.served.clear()
    engine.client.predict(row())
    engine.client.predict(row())
    engine.deploy(other)
    engine.client.predict(row())
    engine.deploy(bundle)
    engine.client.predict(row())
    batches = engine.engine.drain(100, 0).served
    assert [(batch.model.version, len(batch)) for batch in batches] == [("1", 2), ("2", 1), ("1", 1)]
    groups = [int(group) for batch in batches for group in batch.group]
    assert len(set(groups)) == 4
    assert groups == sorted(groups)


def test_drain_comes_back_empty_after_its_wait(engine):
    engine.stop_recorder()
    drained = engine.engine.drain(100, 0.01)
    assert (list(drained.served), list(drained.outcomes)) == ([], [])


def test_drain_comes_back_early_for_outcomes_and_for_a_half_full_ring(kind, tmp_path, bundle):
    with (
        RunningEngine(tmp_path, kind, limits=Limits(ring_rows=8), champion=bundle) as running,
        ThreadPoolExecutor(2) as pool,
    ):
        running.stop_recorder()
        far_away = 600
        drain = pool.submit(running.engine.drain, 100, far_away)
        call = pool.submit(running.client.record_outcome, "r", 1)
        [pending] = drain.result(60).outcomes
        assert [outcome.request_id for outcome in pending.outcomes] == ["r"]
        running.engine.settle(pending.ticket, OutcomeReceipt(1, 0, ()))
        assert call.result(60) == OutcomeReceipt(1, 0, ())

        drain = pool.submit(running.engine.drain, 100, far_away)
        for _ in range(4):
            running.client.predict(row())
        assert sum(len(batch) for batch in drain.result(60).served) == 4


# Outcomes


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


# Limits, health, shutdown


def test_calls_over_the_limit_are_refused_while_health_still_answers(kind, tmp_path, bundle):
    with RunningEngine(tmp_path, kind, limits=Limits(max_in_flight=2), champion=bundle) as running:
        finish = threading.Event()

        def one_and_wait():
            yield request(row())
            finish.wait()

        streams = [running.stub.PredictStream(one_and_wait(), timeout=60) for _ in range(2)]
        for stream in streams:
            next(stream)
        assert status_of_call(running.stub.Predict, request(row()))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
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
            status = status_or_none(running.client)
            if status is None:
                break
            assert status is grpc.StatusCode.RESOURCE_EXHAUSTED
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
    while (status := status_or_none(engine.client)) is None:
        pass  # until the server has said that it takes no more
    assert status is grpc.StatusCode.UNAVAILABLE
    assert not stopping.done()
    go_on.set()
    assert [reply.request_id for reply in stream] == ["after"]
    stopping.result(30)  # neither the idle channels nor the health watch hold it up to the end of the grace
    ids = [request_id for batch in engine.engine.drain(1000, 0).served for request_id in batch.request_ids]
    assert ids[0] == "before"
    assert ids[-1] == "after"


def test_a_call_that_comes_while_it_stops_is_unavailable_and_not_cancelled(engine):
    def until_refused(_):
        with Client(engine.endpoints.uds, deadline=30) as client:
            while (status := status_or_none(client)) is None:
                pass
            return status

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


def test_reflection_names_the_services_and_an_unknown_method_is_unimplemented(engine):
    stub = reflection_pb2_grpc.ServerReflectionStub(engine.channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    [answer] = stub.ServerReflectionInfo(iter([asked]), timeout=30)
    names = {service.name for service in answer.list_services_response.service}
    assert {*SERVICES[1:], "grpc.health.v1.Health"} <= names
    unknown = engine.channel.unary_unary("/sidecar.v1.PredictionService/Guess")
    assert status_of_call(unknown, b"")[0] is grpc.StatusCode.UNIMPLEMENTED


# Listeners


def test_listens_on_a_socket_for_the_group_and_on_a_free_port(kind, tmp_path, bundle):
    listeners = Listeners(uds="a socket.sock", tcp="127.0.0.1:0")
    with RunningEngine(tmp_path, kind, listeners=listeners, champion=bundle) as running:
        path = tmp_path / "a socket.sock"
        assert running.endpoints.uds == str(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        host, port = running.endpoints.tcp.split(":")
        assert host == "127.0.0.1"
        assert int(port) > 0
        with grpc.insecure_channel(running.endpoints.tcp) as channel:
            assert (
                health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status == SERVING
            )


def test_a_socket_that_a_dead_process_left_is_replaced(kind, tmp_path, bundle):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "sidecar.sock"))
    with RunningEngine(tmp_path, kind, champion=bundle) as running:
        assert running.client.predict(row()).score > 0


def test_a_listener_that_cannot_be_opened_is_named(kind, tmp_path):
    (tmp_path / "file").write_text("")
    with socket.socket() as taken, socket.socket(socket.AF_UNIX) as alive:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        alive.bind(str(tmp_path / "alive.sock"))
        alive.listen()
        cases = [
            (Listeners(uds="", tcp=""), "set at least one"),
            (Listeners(uds="file"), "no socket"),
            (Listeners(uds="alive.sock"), "another process"),
            (Listeners(uds="no/folder.sock"), "no folder"),
            (Listeners(uds="x" * 120), "shorter"),
            (Listeners(uds="", tcp="localhost"), "host:port"),
            (Listeners(uds="", tcp="127.0.0.1:99999"), "host:port"),
            (Listeners(uds="", tcp=f"127.0.0.1:{taken.getsockname()[1]}"), "cannot listen"),
        ]
        for listeners, words in cases:
            with pytest.raises(ConfigError, match=words), RunningEngine(tmp_path, kind, listeners=listeners):
                pass
    assert (tmp_path / "alive.sock").exists()


def test_an_engine_says_its_name_and_counts_from_zero(kind, tmp_path):
    with RunningEngine(tmp_path, kind) as running:
        assert running.engine.name == kind
        stats = running.engine.stats()
        assert (stats.served, stats.dropped, stats.queued, stats.errors) == (0, 0, 0, {})
        json.dumps(stats.errors)
        assert isinstance(running.ledger, Ledger)
