"""Every engine answers any bytes as the python engine does: status, words, reply, and what is recorded."""

import re
import time

import grpc
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_requests import SIGNATURE, TEXTS, infer_requests, outcome_requests, predict_requests
from running_engine import ENGINES, RunningEngine, request
from tiny_bundles import tiny_bundle

from sidecar.oip import open_inference_pb2 as oip
from sidecar.v1 import prediction_pb2

PREDICT = "/sidecar.v1.PredictionService/Predict"
PREDICT_STREAM = "/sidecar.v1.PredictionService/PredictStream"
RECORD_OUTCOME = "/sidecar.v1.PredictionService/RecordOutcome"
MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
DESCRIBING = tuple(
    f"/inference.GRPCInferenceService/{name}"
    for name in ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata")
)
HEALTH = "/grpc.health.v1.Health/Check"
MADE_ID = re.compile(r"[0-9a-f]{16}-[0-9a-f]+")
# Which of several such fields is named, is up to the order of a map's entries.
ANY_FIELD = re.compile(r"field .*( has no value; | is not in the signature; ).*", re.DOTALL)
MINUTES = 600 * 1_000_000_000

OTHERS = sorted(ENGINES.keys() - {"python"})  # none: skipped, and test_native_package.py says whether rightly
many = settings(
    deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@pytest.fixture(scope="module", params=OTHERS)
def pair(request, tmp_path_factory):
    """The reference and another engine, each with the same champion."""
    home = tmp_path_factory.mktemp("agree")
    bundle = tiny_bundle(home / "bundles", signature=SIGNATURE)
    (home / "reference").mkdir()
    (home / "other").mkdir()
    with (
        RunningEngine(home / "reference", "python", champion=bundle) as reference,
        RunningEngine(home / "other", request.param, champion=bundle) as other,
    ):
        yield reference, other


def call(engine, path, message, metadata=()):
    """The reply's bytes and OK, or the status and its words."""
    try:
        reply = engine.channel.unary_unary(path)(message, timeout=30, metadata=metadata)
    except grpc.RpcError as error:
        return b"", error.code(), error.details()
    return reply, grpc.StatusCode.OK, ""


def stream(engine, path, messages):
    """The replies until the end, and how it ended."""
    replies = []
    call = engine.channel.stream_stream(path)(iter(messages), timeout=30)
    try:
        replies.extend(call)
    except grpc.RpcError as error:
        return replies, error.code(), error.details()
    return replies, call.code(), ""


def read(kind, reply):
    """The reply as a message, without what differs from call to call; written as protobuf would write it."""
    message = kind.FromString(reply)
    assert message.SerializeToString(deterministic=True) == reply
    if kind is prediction_pb2.PredictResponse:
        assert message.HasField("timings")
        message.ClearField("timings")
        message.request_id = without_made_id(message.request_id)
    elif kind is oip.ModelInferResponse:
        message.id = without_made_id(message.id)
    return message


def without_made_id(request_id):
    return MADE_ID.sub("made", request_id)


def assert_same_end(one, other):
    if one != other and ANY_FIELD.fullmatch(one[1]):
        one, other = ((code, ANY_FIELD.sub(r"\1", words)) for code, words in (one, other))
    assert one == other


def assert_same_answer(pair, path, kind, message):
    (one, *one_end), (other, *other_end) = (call(engine, path, message) for engine in pair)
    assert_same_end(tuple(one_end), tuple(other_end))
    if one_end[0] is grpc.StatusCode.OK:
        assert read(kind, one) == read(kind, other)


# What is recorded


def rows(engine):
    """All rows recorded since the last time, in the order answered: what engines have to agree on."""
    engine.recorded()
    batches, engine.served = engine.served, []
    return [recorded_row(batch, place) for batch in batches for place in range(len(batch))]


def recorded_row(batch, place):
    one = slice(place, place + 1)
    event_ns, received_ns = int(batch.event_ns[place]), int(batch.received_ns[place])
    assert min(batch.queue_ns[place], batch.infer_ns[place], batch.cpu_ns[place]) >= 0
    blocks = batch.blocks.take(one)
    return (
        batch.model,
        without_made_id(batch.request_ids[place].decode()),
        batch.client[place],
        "on arrival" if event_ns == received_ns else event_ns,
        blocks.numbers.tobytes(),
        blocks.integers.tolist(),
        blocks.texts.tolist(),
        batch.features[one].tobytes(),
        batch.score[one].tobytes(),
        batch.decision[one].tolist(),
        batch.propensity[one].tolist(),
    )


def assert_same_rows(pair):
    one, other = (rows(engine) for engine in pair)
    assert one == other
    assert one, "some requests are right"


# Predict


def test_predictions_agree_and_are_recorded_alike(pair):
    @many
    @given(predict_requests())
    def agree(message):
        assert_same_answer(pair, PREDICT, prediction_pb2.PredictResponse, message)

    agree()
    assert_same_rows(pair)


def test_streams_agree_up_to_their_end(pair):
    @settings(many, max_examples=100)
    @given(st.lists(predict_requests(), max_size=4))
    def agree(messages):
        (one, *one_end), (other, *other_end) = (stream(engine, PREDICT_STREAM, messages) for engine in pair)
        assert_same_end(tuple(one_end), tuple(other_end))
        kind = prediction_pb2.PredictResponse
        assert [read(kind, reply) for reply in one] == [read(kind, reply) for reply in other]

    agree()
    assert_same_rows(pair)


# Who calls


CLIENTS = st.one_of(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=70),
    st.sampled_from(["checkout/1.4.2", "", "x" * 64, "x" * 65, "a b", "a,b", " a", "a ", "~", "!"]),
)


def test_client_versions_are_taken_and_refused_alike(pair):
    right = request({"colour": "red", "x": 1.0, "trigger": 0, "amount": 5.0})

    @settings(many, max_examples=200)
    @given(st.lists(CLIENTS, max_size=2), predict_requests() | st.just(right.SerializeToString()))
    def agree(clients, message):
        metadata = [("client-version", client) for client in clients]
        one, other = (call(engine, PREDICT, message, metadata)[1:] for engine in pair)
        assert_same_end(one, other)

    agree()
    assert_same_rows(pair)


# ModelInfer


def test_inferences_agree_and_are_recorded_alike(pair):
    @many
    @given(infer_requests())
    def agree(message):
        assert_same_answer(pair, MODEL_INFER, oip.ModelInferResponse, message)

    agree()
    assert_same_rows(pair)


# With a canary


@pytest.fixture(params=[None, "colour", "trigger"])
def drawing(request, pair, tmp_path):
    """The same pair, where a canary answers half of the calls, drawn by their ids or by a field."""
    canary = tiny_bundle(tmp_path / "bundles", "2", weight=-3.0, signature=SIGNATURE)
    for engine in pair:
        engine.deploy(engine._champion, canary, 0.5, request.param)
    yield pair
    for engine in pair:
        engine.deploy(engine._champion)


def id_of(kind, message, field):
    """The id that a request has; None where it is no message."""
    try:
        return getattr(kind.FromString(message), field)
    except DecodeError:
        return None


def test_who_answers_agrees_where_a_canary_does(drawing):
    """With ids of the callers', for ids that engines make are not alike, nor what is drawn by them."""
    ids = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)

    @settings(many, max_examples=200)
    @given(predict_requests(), infer_requests(), ids)
    def agree(predict, infer, key):
        predict += prediction_pb2.PredictRequest(request_id=key).SerializeToString()
        infer += oip.ModelInferRequest(id=key).SerializeToString()
        # A message that was cut off may take the key for the rest of a text.
        assume(id_of(prediction_pb2.PredictRequest, predict, "request_id") in (key, None))
        assume(id_of(oip.ModelInferRequest, infer, "id") in (key, None))
        assert_same_answer(drawing, PREDICT, prediction_pb2.PredictResponse, predict)
        assert_same_answer(drawing, MODEL_INFER, oip.ModelInferResponse, infer)

    agree()
    one, other = (sorted(rows(engine), key=repr) for engine in drawing)
    assert one == other
    assert {row[0].version for row in one} == {"1", "2"}


# RecordOutcome


def outcomes(engine):
    """All outcomes recorded since the last time, in order."""
    taken, engine.outcomes = engine.outcomes, []
    now = time.time_ns()
    return [
        (
            each.request_id,
            repr(each.label),
            repr(each.value),
            "on arrival" if 0 <= now - each.observed_ns < MINUTES else each.observed_ns,
        )
        for each in taken
    ]


def test_outcomes_agree_and_are_recorded_alike(pair):
    @many
    @given(outcome_requests())
    def agree(message):
        assert_same_answer(pair, RECORD_OUTCOME, prediction_pb2.RecordOutcomeResponse, message)

    agree()
    one, other = (outcomes(engine) for engine in pair)
    assert one == other
    assert one, "some requests are right"


@pytest.mark.parametrize("count", [0, 1, 10_000, 10_001])
def test_calls_with_many_outcomes_agree(pair, count):
    message = prediction_pb2.RecordOutcomeRequest()
    for place in range(count):
        message.outcomes.add(request_id=f"many-{place}", label=place % 2)
    kind = prediction_pb2.RecordOutcomeResponse
    assert_same_answer(pair, RECORD_OUTCOME, kind, message.SerializeToString())
    one, other = (outcomes(engine) for engine in pair)
    assert one == other
    assert len(one) == (count if count <= 10_000 else 0)


# What describes


@many
@given(
    path=st.sampled_from(DESCRIBING),
    message=st.one_of(
        st.binary(max_size=20),
        st.builds(
            lambda name, version: oip.ModelMetadataRequest(name=name, version=version).SerializeToString(),
            st.one_of(st.just("tiny"), TEXTS),
            st.one_of(st.sampled_from(["", "1"]), TEXTS),
        ),
    ),
)
def test_descriptions_agree(pair, path, message):
    one, other = (call(engine, path, message) for engine in pair)
    assert one == other


@many
@given(service=st.one_of(st.sampled_from(["", "sidecar.v1.PredictionService"]), TEXTS))
def test_health_agrees(pair, service):
    asked = service.encode()
    message = b"\x0a" + bytes([len(asked) & 0x7F | 0x80, len(asked) >> 7]) + asked if asked else b""
    one, other = (call(engine, HEALTH, message) for engine in pair)
    assert one == other
