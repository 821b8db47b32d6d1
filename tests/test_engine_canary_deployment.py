"""A canary comes, is named, is promoted and goes, with each engine."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from canary_calls import IDS, ONE, SHARE, answering, expected, failures, version_of
from infer_messages import infer_request
from running_engine import NOT_SERVING, SERVING, status_of_call
from tiny_bundles import SIGNATURE, row, tiny_bundle

from sidecar.bundle import PIPELINE
from sidecar.canary import is_drawn
from sidecar.domain import Canary, Deployment
from sidecar.errors import BundleError
from sidecar.oip import open_inference_pb2 as oip
from sidecar.signature import Field, Signature


def test_a_named_version_answers_without_a_draw(running, bundle, canary):
    running.deploy(bundle, canary, SHARE)
    for named in (bundle, canary):
        for key in IDS[:30]:
            message = infer_request(ONE, raw=True, id=key, model_version=named.model.version)
            reply = running.oip.ModelInfer(message, timeout=60)
            assert reply.parameters["digest"].string_param == named.model.digest
    message = infer_request(ONE, raw=True, model_version="3")
    assert status_of_call(running.oip.ModelInfer, message) == (
        grpc.StatusCode.NOT_FOUND,
        "model 'tiny'/'3' is not deployed; tiny/1 and tiny/2 are",
    )


def test_both_are_ready_and_described_by_their_version(running, bundle, canary):
    def ready(version):
        return running.oip.ModelReady(oip.ModelReadyRequest(name="tiny", version=version), timeout=30).ready

    def described(version):
        message = oip.ModelMetadataRequest(name="tiny", version=version)
        return running.oip.ModelMetadata(message, timeout=30)

    running.deploy(bundle, canary, SHARE)
    assert [ready(version) for version in ("", "1", "2", "3")] == [True, True, True, False]
    assert [list(described(version).versions) for version in ("", "1", "2")] == [["1"], ["1"], ["2"]]
    assert described("2").inputs == described("1").inputs
    running.deploy(bundle)
    assert [ready(version) for version in ("", "1", "2")] == [True, True, False]


def test_health_is_the_champions_and_a_canary_comes_and_goes(running, bundle, canary):
    drawn = next(key for key in IDS if is_drawn(key, SHARE))
    assert running.health() == NOT_SERVING
    running.deploy(bundle, canary, SHARE)
    assert (running.health(), version_of(running, drawn)) == (SERVING, "2")
    assert running.engine.deployment == Deployment(1, bundle.ref, canary=Canary(canary.ref, SHARE))
    running.deploy(bundle)
    assert (running.health(), version_of(running, drawn)) == (SERVING, "1")
    running.deploy(None)
    assert running.health() == NOT_SERVING


def test_what_answers_already_is_not_loaded_again(running, bundle, canary):
    drawn = next(key for key in IDS if is_drawn(key, 0.05))
    running.deploy(bundle, canary, 0.01)
    for each in (bundle, canary):
        shutil.rmtree(each.path)
    running.deploy(bundle, canary, 0.05)
    assert version_of(running, drawn) == "2"
    running.deploy(canary, bundle, 0.05)
    assert version_of(running, drawn) == "1"
    running.deploy(canary)
    assert version_of(running, drawn) == "2"
    with pytest.raises(BundleError):
        running.deploy(bundle)


def test_a_canary_that_cannot_answer_leaves_everything_as_it_was(running, tmp_path, bundle, canary):
    running.deploy(bundle, canary, SHARE)
    before = running.engine.deployment
    damaged = tiny_bundle(tmp_path / "damaged", "4")
    (damaged.path / PIPELINE).chmod(0o644)
    (damaged.path / PIPELINE).write_bytes(b"not a graph")
    renamed = (Field("y", missing_allowed=True), *SIGNATURE.fields[1:])
    other = tiny_bundle(tmp_path / "bundles", "5", signature=Signature(renamed))
    for refused, words in (
        (damaged, "damaged or edited"),
        (other, f"the canary {other.model} .* the champion {canary.model}"),
    ):
        with pytest.raises(BundleError, match=words):
            running.deploy(canary, refused, SHARE)
        assert running.engine.deployment == before
        assert [version_of(running, key) for key in IDS[:40]] == [
            answering(key, bundle, canary).model.version for key in IDS[:40]
        ]


def test_promoting_the_canary_under_load_loses_and_mixes_no_reply(running, bundle, canary):
    scores = {each.model: float(expected(each, [row()]).score[0]) for each in (bundle, canary)}
    steps = [(bundle, canary, 0.05), (bundle, canary, 0.5), (canary, None, 0.0), (bundle, None, 0.0)]
    running.deploy(*steps[0])
    done = threading.Event()
    replies = []

    def ask():
        while not done.is_set():
            replies.append(running.client.predict(row()))

    with ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(ask) for _ in range(4)]
        try:
            for turn in range(1, 13):
                before = len(replies)
                running.deploy(*steps[turn % len(steps)])
                while len(replies) < before + 40 and not any(caller.done() for caller in callers):
                    time.sleep(0.001)
        finally:
            done.set()
        for caller in callers:
            caller.result()
    assert {reply.model for reply in replies} == set(scores)
    assert all(reply.score == scores[reply.model] for reply in replies)
    recorded = running.recorded()
    assert len(recorded) == len(replies)
    for reply in replies:
        batch, at = recorded[reply.request_id]
        assert (batch.model, batch.score[at]) == (reply.model, np.float32(reply.score))
    assert running.engine.stats().errors == {}
    assert failures(running) == 0
