import asyncio
import contextlib
import itertools
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import numpy as np
import pytest
from running_engine import RunningEngine
from tiny_bundles import SIGNATURE, row, tiny_bundle

from sidecar.client import STREAM_WINDOW, AsyncClient, CallError, Client, PredictionReply, Record, Timings
from sidecar.config import Limits, Listeners
from sidecar.domain import Deployment, ModelId, Outcome, OutcomeReceipt
from sidecar.engine.python import PythonEngine
from sidecar.errors import InvalidRequestError, SidecarError
from sidecar.ledger import Ledger
from sidecar.session import load_model


@pytest.fixture
def bundle(tmp_path):
    return tiny_bundle(tmp_path / "bundles")


@pytest.fixture
def engine(tmp_path, bundle):
    with RunningEngine(tmp_path, listeners=Listeners(tcp="127.0.0.1:0"), champion=bundle) as running:
        yield running


def scores(bundle, records):
    model = load_model(bundle.path)
    return [float(model.run(SIGNATURE.pack(record)).score[0]) for record in records]


def test_a_reply_says_everything(engine, bundle):
    reply = engine.client.predict(row(), request_id="mine")
    assert reply == PredictionReply(
        request_id="mine",
        score=scores(bundle, [row()])[0],
        decision=True,
        explored=False,
        model=ModelId("tiny", "1", bundle.model.digest),
        timings=reply.timings,
    )
    assert isinstance(reply.timings, Timings)
    assert type(reply.decision) is bool


def test_every_form_of_target_reaches_the_sidecar(engine, monkeypatch):
    path = engine.endpoints.uds
    monkeypatch.chdir(Path(path).parent)
    for target in (f"unix:{path}", path, Path(path), "sidecar.sock", "./sidecar.sock", engine.endpoints.tcp):
        with Client(target, deadline=30) as client:
            assert client.predict(row()).score > 0


def test_numpy_values_are_sent_like_plain_ones(engine):
    plain = engine.client.predict(row(x=0.5, amount=10.0, trigger=3))
    numpy = engine.client.predict(
        row(x=np.float32(0.5), amount=np.int32(10), trigger=np.int64(3), colour=np.str_("red"))
    )
    assert numpy.score == plain.score
    assert engine.client.predict(row(x=np.nan)).score == engine.client.predict(row(x=None)).score


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": True}, "'x' is a bool"),
        ({"x": np.True_}, "'x' is a bool"),
        ({"x": [1.0]}, "'x' is a list"),
        ({"colour": b"red"}, "'colour' is a bytes"),
        ({"trigger": 2**63}, "'trigger'"),
        ({"colour": "\ud800"}, "'colour'"),
        ({7: 1.0}, "field 7: "),
    ],
)
def test_a_value_that_no_message_can_carry_is_refused_before_it_is_sent(engine, change, words):
    with pytest.raises(InvalidRequestError, match=words):
        engine.client.predict(row() | change)
    assert engine.engine.stats().errors == {}


def test_a_key_a_time_or_a_label_that_no_message_can_carry_is_refused_alike(engine):
    client = engine.client
    for call, words in [
        (lambda: client.predict(row(), request_id=5), "request_id: "),
        (lambda: client.predict(row(), event_ns=10**40), "event_ns: "),
        (lambda: client.record_outcome("a", None), "outcome of request_id 'a': "),
        (lambda: client.record_outcome("\ud800", 1), "outcome of request_id "),
    ]:
        with pytest.raises(InvalidRequestError, match=words):
            call()
    assert engine.engine.stats().errors == {}


def test_a_path_with_a_percent_sign_is_a_path(tmp_path, bundle):
    home = tmp_path / "50%41"
    home.mkdir()
    with RunningEngine(home, champion=bundle), Client(home / "sidecar.sock", deadline=30) as client:
        assert client.predict(row()).model == bundle.model


def test_an_error_is_one_type_with_the_servers_status_and_words(engine):
    with pytest.raises(CallError) as caught:
        engine.client.predict(row(amount=-1.0))
    assert isinstance(caught.value, SidecarError)
    assert caught.value.status is grpc.StatusCode.INVALID_ARGUMENT
    assert str(caught.value) == "field 'amount' is -1; send a value from 0 to 1e+06"
    assert repr(caught.value).startswith("CallError(INVALID_ARGUMENT, ")


def test_no_sidecar_is_unavailable(tmp_path):
    with Client(tmp_path / "nobody.sock") as client:
        for call in (lambda: client.predict(row()), lambda: list(client.predict_many([row()]))):
            with pytest.raises(CallError) as caught:
                call()
            assert caught.value.status is grpc.StatusCode.UNAVAILABLE


def test_the_deadline_of_the_client_and_of_one_call(engine):
    engine.stop_recorder()  # outcomes wait for it
    outcomes = [Outcome("a", 1.0, None, 1)]
    with Client(engine.endpoints.uds, deadline=0.05) as client:
        with pytest.raises(CallError) as caught:
            client.record_outcome("a", 1)
        assert caught.value.status is grpc.StatusCode.DEADLINE_EXCEEDED
        engine.start_recorder()
        assert client.record_outcomes(outcomes, deadline=30).stored == 1
        assert client.predict(row(), deadline=30).score > 0
    engine.stop_recorder()
    with pytest.raises(CallError) as caught:
        engine.client.record_outcomes(outcomes, deadline=0.05)
    assert caught.value.status is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_client_reaches_a_sidecar_that_came_back(tmp_path, bundle):
    with RunningEngine(tmp_path, champion=bundle) as first:
        client = Client(first.endpoints.uds, deadline=30)
        client.predict(row())
    with client:
        with pytest.raises(CallError) as caught:
            client.predict(row())
        assert caught.value.status is grpc.StatusCode.UNAVAILABLE
        with RunningEngine(tmp_path, champion=bundle):
            for _ in range(1000):
                with contextlib.suppress(CallError):
                    client.predict(row())
                    break
                threading.Event().wait(0.05)
            assert client.predict(row()).score > 0


def test_many_records_are_answered_in_order(engine, bundle):
    records = [row(x=float(x)) for x in range(300)]
    replies = list(engine.client.predict_many(records))
    assert [reply.score for reply in replies] == scores(bundle, records)
    named = [Record(fields, f"r{i}", 1000 + i) for i, fields in enumerate(records)]
    assert [reply.request_id for reply in engine.client.predict_many(named)] == [f"r{i}" for i in range(300)]
    batch, at = engine.recorded()["r7"]
    assert batch.event_ns[at] == 1007
    assert list(engine.client.predict_many([])) == []


def test_an_endless_input_is_read_no_further_than_the_window(engine):
    taken = itertools.count()

    def endless():
        while True:
            next(taken)
            yield row()

    replies = engine.client.predict_many(endless())
    for _ in range(100):
        next(replies)
    replies.close()
    assert next(taken) <= 100 + STREAM_WINDOW
    assert engine.client.predict(row()).score > 0


def test_a_record_that_is_refused_ends_the_stream_with_its_error(engine):
    good, bad = row(), row(amount=-1.0)
    for records in ([good, bad, good], [good] * 200 + [bad] + [good] * 200):
        replies = []
        with pytest.raises(CallError, match="'amount'") as caught:
            replies.extend(engine.client.predict_many(records))
        assert caught.value.status is grpc.StatusCode.INVALID_ARGUMENT
        assert len(replies) == records.index(bad)


def test_an_error_of_the_input_reaches_the_caller_and_leaves_no_thread(engine):
    engine.client.predict(row())
    before = threading.active_count()

    def records():
        yield row()
        raise LookupError("the file ended")

    with pytest.raises(LookupError, match="the file ended"):
        list(engine.client.predict_many(records()))
    with pytest.raises(InvalidRequestError, match="'x'"):
        list(engine.client.predict_many([row(), row() | {"x": True}]))
    for _ in range(500):
        if threading.active_count() <= before:
            break
        threading.Event().wait(0.02)
    assert threading.active_count() <= before


def test_outcomes_are_reported_one_by_one_or_together(engine):
    assert engine.client.record_outcome("a", 1) == OutcomeReceipt(1, 0, ())
    assert engine.client.record_outcome("b", np.int64(0), np.float32(2.5), 77).stored == 1
    many = [Outcome("c", 1.0, -3.0, 123_456_789_012_345_678), Outcome("d", 0.0, None, 5)]
    assert engine.client.record_outcomes(many) == OutcomeReceipt(2, 0, ())
    first, *rest = engine.outcomes
    assert (first.request_id, first.label, first.value) == ("a", 1.0, None)
    assert rest == [Outcome("b", 0.0, 2.5, 77), *many]


def test_many_threads_share_one_client(engine, bundle):
    expected = scores(bundle, [row(x=float(x)) for x in range(4)])
    wrong = []

    def ask(x):
        given = [engine.client.predict(row(x=float(x))).score for _ in range(50)]
        wrong.extend(score for score in given if score != expected[x])

    threads = [threading.Thread(target=ask, args=(x,)) for x in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_importing_the_client_loads_no_runtime_and_no_trainer():
    heavy = ("onnxruntime", "onnx", "sklearn", "pandas", "scipy", "sqlite_utils")
    script = f"import sys, sidecar.client; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "[]\n"


# The same in asyncio


@contextlib.asynccontextmanager
async def serving(home, bundle, limits=None):
    """An engine on this event loop: gRPC's asyncio is at its best with one loop in a process."""
    engine, ledger = PythonEngine(), Ledger.create(home / "ledger")
    endpoints = await engine.start(home, Listeners(), limits or Limits(), ledger)
    await engine.deploy(Deployment(1, bundle.ref))
    try:
        async with AsyncClient(endpoints.uds, deadline=30) as client:
            yield engine, client
    finally:
        await engine.stop(0)
        ledger.close()


async def collect(replies, into):
    async for reply in replies:
        into.append(reply)


async def test_async_predictions_and_errors(tmp_path, bundle):
    async with serving(tmp_path, bundle) as (_, client):
        replies = await asyncio.gather(*[client.predict(row(), request_id=f"r{i}") for i in range(20)])
        assert [reply.request_id for reply in replies] == [f"r{i}" for i in range(20)]
        assert {reply.score for reply in replies} == set(scores(bundle, [row()]))
        with pytest.raises(CallError, match="'amount'") as caught:
            await client.predict(row(amount=-1.0))
        assert caught.value.status is grpc.StatusCode.INVALID_ARGUMENT


async def test_async_streams_from_plain_and_asynchronous_inputs(tmp_path, bundle):
    records = [row(x=float(x)) for x in range(300)]

    async def arriving():
        for record in records:
            yield Record(record)

    async with serving(tmp_path, bundle) as (engine, client):
        for source in (records, arriving()):
            assert [reply.score async for reply in client.predict_many(source)] == scores(bundle, records)
        assert engine.stats().served == 600


async def test_async_stream_is_bounded_and_can_be_left(tmp_path, bundle):
    taken = itertools.count()
    endless = (row() for _ in taken)
    async with serving(tmp_path, bundle, Limits(max_in_flight=1)) as (_, client):
        async with contextlib.aclosing(client.predict_many(endless)) as replies:
            for _ in range(100):
                await anext(replies)
        assert next(taken) <= 100 + STREAM_WINDOW + 1
        for _ in range(1000):  # the server sees the stream's end a moment later
            with contextlib.suppress(CallError):
                await client.predict(row())
                break
            await asyncio.sleep(0.01)
        assert (await client.predict(row())).score > 0


async def test_async_stream_ends_with_the_error_of_a_record(tmp_path, bundle):
    good, bad = row(), row(amount=-1.0)
    async with serving(tmp_path, bundle) as (_, client):
        for records in ([good, bad, good], [good] * 200 + [bad] + [good] * 200):
            replies = []
            with pytest.raises(CallError, match="'amount'") as caught:
                await collect(client.predict_many(records), replies)
            assert caught.value.status is grpc.StatusCode.INVALID_ARGUMENT
            assert len(replies) == records.index(bad)


async def test_async_outcomes_wait_until_they_are_stored(tmp_path, bundle):
    async with serving(tmp_path, bundle) as (engine, client):
        one = asyncio.create_task(client.record_outcome("a", 1, 2.5, 77))
        [pending] = (await asyncio.to_thread(engine.drain, 10, 60)).outcomes
        assert list(pending.outcomes) == [Outcome("a", 1.0, 2.5, 77)]
        engine.settle(pending.ticket, OutcomeReceipt(0, 1, ()))
        assert await one == OutcomeReceipt(0, 1, ())
        with pytest.raises(CallError) as caught:
            await client.record_outcomes([Outcome("b", 1.0, None, 1)], deadline=0.05)
        assert caught.value.status is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_async_client_without_a_sidecar(tmp_path):
    async with AsyncClient(tmp_path / "nobody.sock") as client:
        with pytest.raises(CallError) as caught:
            await client.predict(row())
        assert caught.value.status is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(CallError) as caught:
            await collect(client.predict_many([row()]), [])
        assert caught.value.status is grpc.StatusCode.UNAVAILABLE
