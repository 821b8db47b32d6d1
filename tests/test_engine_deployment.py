"""Which champion answers, whatever the engine is made of."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from running_engine import NOT_SERVING, SERVING, RunningEngine, request, status_of_call
from tiny_bundles import SIGNATURE, row, tiny_bundle

from sidecar.domain import NOTHING_DEPLOYED, BundleRef, Deployment
from sidecar.errors import BundleError
from sidecar.session import load_model

SERVICES = ("", "sidecar.v1.PredictionService", "inference.GRPCInferenceService")


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
