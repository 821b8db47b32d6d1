"""What an engine replies where its champion explores, and what is recorded of it."""

import numpy as np
import pytest
from infer_messages import infer_request, outputs_of
from running_engine import ENGINES, RunningEngine, request
from tiny_bundles import SIGNATURE, row, tiny_bundle

from sidecar.config import Native
from sidecar.exploration import Exploration, is_explored
from sidecar.session import load_model
from sidecar.v1 import prediction_pb2

ROWS = [row(x=number / 140, amount=20.0, colour="blue") for number in range(120)]
"""The rule decides to act on about half of them."""
IDS = [f"r{number}" for number in range(len(ROWS))]
COLUMNS = {name: [each[name] for each in ROWS] for name in ROWS[0]}


@pytest.fixture(params=["act", "pass"])
def exploration(request):
    return Exploration(request.param, 0.3)


@pytest.fixture
def bundle(tmp_path, exploration):
    return tiny_bundle(tmp_path / "bundles", facts={"exploration": exploration.to_json()})


@pytest.fixture
def rule(bundle):
    decision = load_model(bundle.path).run(SIGNATURE.pack_columns(COLUMNS)).decision
    assert 0.2 < decision.mean() < 0.8
    return decision


def assert_recorded(engine, ids, rule, propensity):
    recorded = engine.recorded()
    for place, request_id in enumerate(ids):
        batch, at = recorded[request_id]
        assert batch.decision[at] == rule[place], "the log keeps what the rule decided"
        assert batch.propensity[at] == propensity[place]
        assert batch.propensity.dtype == np.float32


def test_explored_replies_take_the_other_action_and_say_so(engine, exploration, rule):
    propensity = exploration.propensity(IDS, rule)
    explored = is_explored(propensity)
    assert 10 < explored.sum() < 40
    replies = [engine.client.predict(ROWS[number], request_id=IDS[number]) for number in range(60)]
    replies += engine.stub.PredictStream(
        (request(ROWS[number], request_id=IDS[number]) for number in range(60, 120)), timeout=60
    )
    assert [reply.explored for reply in replies] == explored.tolist()
    assert [reply.decision for reply in replies] == (rule != explored).tolist()
    assert_recorded(engine, IDS, rule, propensity)
    repeated = [engine.client.predict(ROWS[number], request_id=IDS[number]) for number in range(20)]
    assert [reply.explored for reply in repeated] == explored[:20].tolist()


def test_an_explored_reply_is_written_as_protobuf_writes_it(engine, exploration, rule):
    place = int(np.flatnonzero(is_explored(exploration.propensity(IDS, rule)))[0])
    message = request(ROWS[place], request_id=IDS[place]).SerializeToString()
    call = engine.channel.unary_unary("/sidecar.v1.PredictionService/Predict")
    reply = call(message, timeout=30)
    read = prediction_pb2.PredictResponse.FromString(reply)
    assert read.explored
    assert read.SerializeToString(deterministic=True) == reply


@pytest.mark.parametrize("raw", [True, False])
def test_each_row_of_a_tensor_is_drawn_by_its_own_id(engine, exploration, rule, raw):
    ids = [f"all/{number}" for number in range(len(ROWS))]
    propensity = exploration.propensity(ids, rule)
    explored = is_explored(propensity)
    reply = engine.oip.ModelInfer(infer_request(COLUMNS, raw=raw, id="all"), timeout=60)
    assert outputs_of(reply)["decision"].tolist() == (rule != explored).tolist()
    numbers = reply.parameters["explored"].string_param
    assert numbers == ",".join(map(str, np.flatnonzero(explored)))
    assert_recorded(engine, ids, rule, propensity)


def test_a_single_row_of_a_tensor_is_drawn_by_the_requests_id(engine, exploration, rule):
    propensity = exploration.propensity(IDS, rule)
    for number, explored in enumerate(is_explored(propensity).tolist()):
        one = {name: [values[number]] for name, values in COLUMNS.items()}
        reply = engine.oip.ModelInfer(infer_request(one, raw=True, id=IDS[number]), timeout=60)
        assert outputs_of(reply)["decision"].tolist() == [rule[number] != explored]
        assert dict.fromkeys(reply.parameters) == dict.fromkeys(["digest"] + ["explored"] * explored)
    assert_recorded(engine, IDS, rule, propensity)


def test_an_id_that_the_sidecar_makes_is_drawn_too(engine, exploration):
    replies = [engine.client.predict(one) for one in ROWS]
    recorded = engine.recorded()
    for reply in replies:
        batch, at = recorded[reply.request_id]
        expected = exploration.propensity([reply.request_id], batch.decision[at : at + 1])
        assert batch.propensity[at] == expected[0]
        assert reply.explored == is_explored(expected)[0]


@pytest.mark.skipif("native" not in ENGINES, reason="the native engine is not built")
@pytest.mark.parametrize("settings", [Native(batch_rows=16), Native(hand_off_us=0)], ids=str)
def test_rows_that_run_together_or_elsewhere_are_drawn_alike(tmp_path, bundle, exploration, rule, settings):
    propensity = exploration.propensity(IDS, rule)
    (tmp_path / "home").mkdir()
    with RunningEngine(tmp_path / "home", "native", native=settings, champion=bundle) as engine:
        messages = (request(one, request_id=key) for one, key in zip(ROWS, IDS, strict=True))
        replies = list(engine.stub.PredictStream(messages, timeout=60))
        assert [reply.explored for reply in replies] == is_explored(propensity).tolist()
        assert [reply.decision for reply in replies] == (rule != is_explored(propensity)).tolist()
        assert_recorded(engine, IDS, rule, propensity)
