"""A row says which client sent it, whatever the engine is made of."""

import grpc
import pytest
from infer_messages import infer_request
from running_engine import SERVING, request
from tiny_bundles import row

from sidecar.client import AsyncClient, CallError, Client
from sidecar.errors import InvalidRequestError
from sidecar.v1 import prediction_pb2

KEY = "client-version"
REFUSED = "client-version: send 1 to 64 visible ASCII characters, such as checkout/1.4.2, or leave it out"


def infer_rows(rows, **rest):
    return infer_request({name: [value] * rows for name, value in row().items()}, raw=True, **rest)


def clients(engine):
    return {request_id: batch.client[place] for request_id, (batch, place) in engine.recorded().items()}


def test_each_row_has_the_client_of_its_call(engine):
    one = request(row(), request_id="one")
    engine.stub.Predict(one, timeout=30, metadata=[(KEY, "checkout/1.4.2")])
    engine.stub.Predict(request(row(), request_id="none"), timeout=30)
    two = request(row(), request_id="two")
    engine.stub.Predict(two, timeout=30, metadata=[(KEY, "old/1"), (KEY, "x" * 64)])
    stream = [request(row(), request_id=f"s{number}") for number in range(3)]
    list(engine.stub.PredictStream(iter(stream), timeout=30, metadata=[(KEY, "batch/2")]))
    engine.oip.ModelInfer(infer_rows(3, id="rows"), timeout=30, metadata=[(KEY, "triton/3")])
    assert clients(engine) == {
        "one": "checkout/1.4.2",
        "none": "",
        "two": "x" * 64,
        **dict.fromkeys(["s0", "s1", "s2"], "batch/2"),
        **dict.fromkeys(["rows/0", "rows/1", "rows/2"], "triton/3"),
    }


@pytest.mark.parametrize("client", ["a b", "x" * 65])
def test_what_is_no_client_version_is_refused_and_counted(engine, client):
    metadata = [(KEY, client)]
    outcomes = prediction_pb2.RecordOutcomeRequest()
    outcomes.outcomes.add(request_id="r", label=1)
    for method, message in (
        (engine.stub.Predict, request(row())),
        (lambda *a, **k: list(engine.stub.PredictStream(*a, **k)), iter([request(row())])),
        (lambda *a, **k: list(engine.stub.PredictStream(*a, **k)), iter([])),
        (engine.oip.ModelInfer, infer_rows(1)),
        (engine.stub.RecordOutcome, outcomes),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            method(message, timeout=30, metadata=metadata)
        assert (refused.value.code(), refused.value.details()) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            REFUSED,
        )
    assert engine.engine.stats().errors == {"INVALID_ARGUMENT": 5}
    assert clients(engine) == {}
    assert engine.health() == SERVING


async def test_the_client_says_who_it_is(engine):
    with Client(engine.endpoints.uds, deadline=30, client="checkout/1.4.2") as client:
        client.predict(row(), request_id="one")
        list(client.predict_many([row()] * 2))
    async with AsyncClient(engine.endpoints.uds, deadline=30, client="checkout/1.5.0") as client:
        await client.predict(row(), request_id="two")
        assert [reply async for reply in client.predict_many([row()])]
    found = clients(engine)
    assert (found.pop("one"), found.pop("two")) == ("checkout/1.4.2", "checkout/1.5.0")
    assert sorted(found.values()) == ["checkout/1.4.2", "checkout/1.4.2", "checkout/1.5.0"]
    with pytest.raises(InvalidRequestError, match="client-version: send 1 to 64"):
        Client(engine.endpoints.uds, client="check out")


def test_a_client_of_another_language_is_told(engine):
    with Client(engine.endpoints.uds, deadline=30) as client:
        client._metadata = ((KEY, "check out"),)
        with pytest.raises(CallError, match="client-version: send 1 to 64"):
            client.predict(row())
