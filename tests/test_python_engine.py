"""What only the Python engine's make-up allows to test; the rest is in test_engine_*.py."""

import logging
import threading
import time

import grpc
import pytest
from running_engine import RunningEngine, request, status_of_call
from tiny_bundles import row, tiny_bundle

from sidecar.client import CallError
from sidecar.domain import NOTHING_DEPLOYED
from sidecar.engine.champion import Serving
from sidecar.engine.python import PythonEngine


@pytest.fixture
def engine(tmp_path):
    with RunningEngine(tmp_path, champion=tiny_bundle(tmp_path / "bundles")) as running:
        yield running


def test_a_call_whose_deadline_has_passed_is_not_scored(engine):
    engine.client.predict(row())  # connected
    blocked, free = threading.Event(), threading.Event()

    def block_the_loop():
        blocked.set()
        free.wait()

    engine.on_loop(block_the_loop)
    blocked.wait()
    with pytest.raises(CallError) as caught:
        engine.client.predict(row(), deadline=0.05)
    assert caught.value.status is grpc.StatusCode.DEADLINE_EXCEEDED
    free.set()
    engine.client.predict(row())
    assert engine.engine.stats().served == 2


def test_an_unexpected_failure_is_internal_and_logged_and_does_not_end_the_engine(engine, caplog):
    champion = engine.engine._started.champion
    serving = champion._serving
    champion._serving = Serving(None)  # what no code path does
    with caplog.at_level(logging.ERROR, "sidecar"):
        code, detail = status_of_call(engine.stub.Predict, request(row()))
        assert code is grpc.StatusCode.INTERNAL
        assert "NoneType" not in detail
        with pytest.raises(grpc.RpcError) as caught:
            list(engine.stub.PredictStream(iter([request(row())]), timeout=30))
        assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "NoneType" in caplog.text
    champion._serving = serving
    assert engine.client.predict(row()).score > 0
    assert engine.engine.stats().errors == {"INTERNAL": 2}


def test_a_stream_whose_caller_has_gone_leaves_no_trace(engine, caplog):
    more = threading.Event()

    def requests():
        yield request(row())
        more.wait()

    stream = engine.stub.PredictStream(requests(), timeout=30)
    next(stream)
    stream.cancel()
    more.set()
    deadline = time.monotonic() + 30
    while engine.engine._started.edge._in_flight and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine.engine._started.edge._in_flight == 0
    assert engine.engine.stats().errors == {}
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_an_engine_that_is_not_started_says_so():
    engine = PythonEngine()
    assert engine.deployment == NOTHING_DEPLOYED
    with pytest.raises(RuntimeError, match="not started"):
        engine.stats()


def test_its_parts_print_what_they_are(engine):
    parts = engine.engine._started
    engine.stop_recorder()
    assert repr(engine.engine).startswith("<PythonEngine <Champion tiny/1@")
    assert repr(parts.ring) == "<Ring 0/65536 rows, 0 outcome calls>"
    assert repr(parts.edge) == "<Edge 0/256 calls, 9 methods>"
    assert repr(parts.health) == "<Health SERVING>"
    assert repr(parts.desk) == "<OutcomeDesk 0 calls wait>"
    assert repr(parts.stages) == "<Stages of 0 messages>"
