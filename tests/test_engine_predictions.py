"""What an engine replies to a prediction, whatever it is made of."""

import math
import time

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from running_engine import RunningEngine, request, status_of_call
from tiny_bundles import SIGNATURE, TRIGGER, Misbehaviour, row, tiny_bundle

from sidecar.config import Limits
from sidecar.errors import InvalidRequestError
from sidecar.session import load_model

SECOND = 1_000_000_000


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
