"""Which calls the canary of a deployment answers, and what becomes of those on which it fails."""

import itertools
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from infer_messages import infer_request, outputs_of
from raw_http2 import call_together
from running_engine import ENGINES, NOT_SERVING, SERVING, RunningEngine, request, status_of_call
from scipy.stats import binomtest
from tiny_bundles import SIGNATURE, TRIGGER, Misbehaviour, row, tiny_bundle

from sidecar.bundle import PIPELINE
from sidecar.canary import Draw, is_drawn, is_entity_drawn
from sidecar.config import Limits, Native
from sidecar.domain import Canary, Deployment
from sidecar.errors import BundleError
from sidecar.exploration import Exploration, is_explored
from sidecar.oip import open_inference_pb2 as oip
from sidecar.session import load_model
from sidecar.signature import Field, Signature

SHARE = 0.25
PREDICT = "/sidecar.v1.PredictionService/Predict"
IDS = [f"r{number}" for number in range(160)]
ROWS = [row(x=number / 80, colour=("red", None, "blé")[number % 3]) for number in range(len(IDS))]
COLUMNS = {name: [each[name] for each in ROWS] for name in ROWS[0]}
ONE = {name: [value] for name, value in row().items()}


@pytest.fixture
def canary(tmp_path):
    return tiny_bundle(tmp_path / "bundles", "2", weight=-3.0)


@pytest.fixture
def raising(tmp_path):
    """Behaves but for rows with the trigger; explores much, so that it shows whose exploration is applied."""
    facts = {"exploration": Exploration("act", 0.49).to_json()}
    return tiny_bundle(tmp_path / "bundles", "3", misbehaviour=Misbehaviour.RAISES, facts=facts)


@pytest.fixture(params=sorted(ENGINES) + ["native apart", "native together"] * ("native" in ENGINES))
def running(request, tmp_path):
    """Each engine, and the native one with runs that leave the thread that read them, or wait for others."""
    kind, _, how = request.param.partition(" ")
    settings = {"apart": Native(hand_off_us=0), "together": Native(batch_rows=16)}.get(how)
    (tmp_path / "home").mkdir()
    with RunningEngine(tmp_path / "home", kind, native=settings, limits=Limits(max_in_flight=1000)) as engine:
        yield engine


def expected(bundle, rows=ROWS):
    columns = {name: [each[name] for each in rows] for name in rows[0]}
    return load_model(bundle.path).run(SIGNATURE.pack_columns(columns))


def answering(request_id, champion, canary, share=SHARE):
    return canary if is_drawn(request_id, share) else champion


def version_of(running, request_id):
    return running.client.predict(row(), request_id=request_id).model.version


def failures(running):
    counted = running.engine.stats().canary
    return counted.failed if counted else 0


# Who answers


def test_the_canary_answers_the_calls_that_are_drawn_and_the_log_says_who_did(running, bundle, canary):
    running.deploy(bundle, canary, SHARE)
    scores = {each.model: expected(each).score for each in (bundle, canary)}
    messages = [request(fields, request_id=key) for key, fields in zip(IDS, ROWS, strict=True)]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda message: running.stub.Predict(message, timeout=60), messages[:80]))
    replies += running.stub.PredictStream(iter(messages[80:]), timeout=60)
    recorded = running.recorded()
    for place, (key, reply) in enumerate(zip(IDS, replies, strict=True)):
        model = answering(key, bundle, canary).model
        assert (reply.model.name, reply.model.version, reply.model.digest) == (
            model.name,
            model.version,
            model.digest,
        )
        assert np.float32(reply.score) == scores[model][place]
        batch, at = recorded[key]
        assert (batch.model, batch.score[at]) == (model, scores[model][place])
    assert running.engine.stats().errors == {}
    assert failures(running) == 0


@pytest.mark.parametrize("raw", [True, False])
def test_a_call_of_several_rows_is_drawn_as_one(running, bundle, canary, raw):
    running.deploy(bundle, canary, SHARE)
    for key in IDS[:20]:
        reply = running.oip.ModelInfer(infer_request(COLUMNS, raw=raw, id=key), timeout=60)
        answered = answering(key, bundle, canary)
        assert (reply.model_name, reply.model_version) == ("tiny", answered.model.version)
        assert reply.parameters["digest"].string_param == answered.model.digest
        assert outputs_of(reply)["score"].tolist() == expected(answered).score.tolist()
    recorded = running.recorded()
    for key in IDS[:20]:
        models = {recorded[f"{key}/{place}"][0].model for place in range(len(ROWS))}
        assert models == {answering(key, bundle, canary).model}, "no call mixes two models"


def test_the_calls_of_a_canary_are_counted_while_it_has_its_share(running, bundle, raising):
    def counted():
        found = running.engine.stats().canary
        return found and (found.digest, found.calls, found.answered, found.failed)

    running.deploy(bundle)
    assert counted() is None
    running.deploy(bundle, raising, SHARE)
    messages = [
        request(row(trigger=TRIGGER if place < 40 else 0), request_id=key) for place, key in enumerate(IDS)
    ]
    list(running.stub.PredictStream(iter(messages), timeout=60))
    running.oip.ModelInfer(infer_request(ONE, raw=True, model_version="3"), timeout=60)  # nothing is drawn
    drawn = [is_drawn(key, SHARE) for key in IDS]
    expected_now = (raising.model.digest, len(IDS), sum(drawn[40:]), sum(drawn[:40]))
    assert 0 < sum(drawn[:40]) < sum(drawn[40:])
    assert counted() == expected_now
    running.deploy(bundle, raising, SHARE)  # something else of the deployment has changed
    assert counted() == expected_now
    running.deploy(bundle, raising, 0.5)
    assert counted() == (raising.model.digest, 0, 0, 0)


def test_an_id_that_the_sidecar_makes_is_drawn_too(running, bundle, canary):
    running.deploy(bundle, canary, 0.5)
    replies = [running.client.predict(row()) for _ in range(60)]
    assert all(reply.model == answering(reply.request_id, bundle, canary, 0.5).model for reply in replies)
    assert {reply.model for reply in replies} == {bundle.model, canary.model}
    replies = [running.oip.ModelInfer(infer_request(ONE, raw=True), timeout=60) for _ in range(60)]
    for reply in replies:
        assert reply.model_version == answering(reply.id, bundle, canary, 0.5).model.version


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5])
def test_the_share_of_the_calls_is_the_declared_one(kind, tmp_path, bundle, canary, share):
    with RunningEngine(tmp_path, kind) as running:
        running.deploy(bundle, canary, share)
        ids = [f"share-{number}" for number in range(1000)]
        messages = (request(row(), request_id=key) for key in ids)
        replies = running.stub.PredictStream(messages, timeout=60)
        drawn = [reply.model.version == "2" for reply in replies]
    assert drawn == [is_drawn(key, share) for key in ids]
    assert binomtest(sum(drawn), len(ids), share).pvalue > 1e-3


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5])
def test_ids_that_count_up_are_drawn_as_evenly_as_any(share):
    drawn = [is_drawn(f"0123456789abcdef-{number:x}", share) for number in range(100_000)]
    assert binomtest(sum(drawn), len(drawn), share).pvalue > 1e-3
    pairs = sum(one and other for one, other in itertools.pairwise(drawn))
    assert binomtest(pairs, len(drawn) - 1, share**2).pvalue > 1e-3, "an id tells nothing of the next one"


# Drawn by an entity


def drawn_by(field, fields, bundle, canary, share=SHARE):
    draw = Draw(share, SIGNATURE.column(field), canary.model.digest)
    return canary if draw.takes("any", SIGNATURE.pack(fields)) else bundle


@pytest.mark.parametrize("field", ["colour", "trigger"])
def test_all_calls_about_one_entity_go_the_same_way(running, bundle, canary, field):
    running.deploy(bundle, canary, 0.5, by=field)
    entities = {"colour": ["blé", *"abcdefghij"], "trigger": [-(2**63), 2**63 - 1, *range(9)]}[field]
    seen = {}
    for number, entity in enumerate(entities * 6):
        fields = row(x=number / 80) | {field: entity}
        message = request(fields, request_id=f"r{number}")
        reply = running.stub.Predict(message, timeout=60)
        assert reply.model.version == drawn_by(field, fields, bundle, canary, 0.5).model.version
        seen.setdefault(entity, set()).add(reply.model.version)
    assert all(len(versions) == 1 for versions in seen.values())
    assert set().union(*seen.values()) == {"1", "2"}


def test_a_call_of_several_rows_is_drawn_by_its_first_rows_entity(running, bundle, canary):
    running.deploy(bundle, canary, SHARE, by="colour")
    for first in "abcdefghijklmnop":
        columns = {**COLUMNS, "colour": [first, *COLUMNS["colour"][1:]]}
        reply = running.oip.ModelInfer(infer_request(columns, raw=True, id="r"), timeout=60)
        wanted = drawn_by("colour", row(colour=first), bundle, canary)
        assert reply.model_version == wanted.model.version


def test_who_names_nobody_is_drawn_by_id(running, bundle, canary):
    running.deploy(bundle, canary, SHARE, by="colour")
    for key in IDS[:60]:
        reply = running.stub.Predict(request(row(colour=None), request_id=key), timeout=60)
        assert reply.model.version == answering(key, bundle, canary).model.version


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25])
def test_the_share_of_the_entities_is_the_declared_one_and_each_canary_has_its_own(share):
    drawn = [
        [is_entity_drawn(f"customer {number}".encode(), share, salt) for number in range(20_000)]
        for salt in ("1" * 64, "2" * 64)
    ]
    for one in drawn:
        assert binomtest(sum(one), len(one), share).pvalue > 1e-3
    both = sum(one and other for one, other in zip(*drawn, strict=True))
    assert binomtest(both, len(drawn[0]), share**2).pvalue > 1e-3


@pytest.mark.parametrize("field", ["x", "nobody"])
def test_what_has_no_equals_draws_nothing(running, bundle, canary, field):
    running.deploy(bundle)
    with pytest.raises(BundleError, match=f"drawn by '{field}', which is not a text or integer field"):
        running.deploy(bundle, canary, SHARE, by=field)
    assert running.engine.deployment == Deployment(1, bundle.ref)


def test_each_model_explores_its_own_replies(running, tmp_path, bundle):
    exploration = Exploration("act", 0.49)
    exploring = tiny_bundle(tmp_path / "bundles", "2", facts={"exploration": exploration.to_json()})
    running.deploy(bundle, exploring, 0.5)
    messages = (request(fields, request_id=key) for key, fields in zip(IDS, ROWS, strict=True))
    replies = list(running.stub.PredictStream(messages, timeout=60))
    explored = is_explored(exploration.propensity(IDS, expected(exploring).decision))
    drawn = np.array([is_drawn(key, 0.5) for key in IDS])
    assert (explored & drawn).any()
    assert (explored & ~drawn).any(), "some of what the canary would explore is the champion's"
    assert [reply.explored for reply in replies] == (explored & drawn).tolist()


@pytest.mark.skipif("native" not in ENGINES, reason="the native engine is not built")
def test_calls_that_are_read_together_still_run_together_each_models_by_itself(tmp_path, bundle, canary):
    """If a change of the model ended a common run, 64 calls would need 32 runs and, by chance, hardly 16."""
    with RunningEngine(tmp_path, "native", native=Native(batch_rows=16), champion=bundle) as running:
        running.deploy(bundle, canary, 0.5)
        message = request(row()).SerializeToString()
        for _ in range(20):
            call_together(running.endpoints.uds, PREDICT, [message] * 64)
            running.recorded()
            runs = sum(len(np.unique(batch.group)) for batch in running.served)
            running.served.clear()
            if runs <= 16:
                return
    raise AssertionError("of calls that were read together, few ran together")


# A version that is named


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


# A canary that fails


def test_what_the_canary_fails_on_the_champion_answers(running, bundle, raising):
    running.deploy(bundle, raising, SHARE)
    rows = [row(x=place / 80, trigger=TRIGGER if place % 2 else 0) for place in range(len(IDS))]
    scores = expected(bundle, rows).score
    messages = [request(fields, request_id=key) for key, fields in zip(IDS, rows, strict=True)]
    calls = [running.stub.Predict.future(message, timeout=60) for message in messages]
    replies = [call.result() for call in calls]
    recorded = running.recorded()
    failed = 0
    for place, (key, reply) in enumerate(zip(IDS, replies, strict=True)):
        drawn = is_drawn(key, SHARE)
        failed += drawn and place % 2
        by = raising if drawn and not place % 2 else bundle
        assert reply.model.digest == by.model.digest
        assert recorded[key][0].model == by.model
        assert np.float32(reply.score) == scores[place], "both give the same score where they give one"
        assert not (reply.explored and by is bundle), "the champion explores nothing"
    assert failed > 5
    assert failures(running) == failed
    stats = running.engine.stats()
    assert (stats.errors, stats.served) == ({}, len(IDS))
    assert stats.stages["infer"].count == len(IDS)


def test_a_call_of_several_rows_falls_back_as_one(running, bundle, raising):
    running.deploy(bundle, raising, SHARE)
    rows = [row(trigger=trigger) for trigger in (0, TRIGGER, 0)]
    columns = {name: [each[name] for each in rows] for name in rows[0]}
    drawn = [key for key in IDS if is_drawn(key, SHARE)][:10]
    for key in drawn:
        reply = running.oip.ModelInfer(infer_request(columns, raw=True, id=key), timeout=60)
        assert reply.model_version == "1"
        assert outputs_of(reply)["score"].tolist() == expected(bundle, rows).score.tolist()
    assert failures(running) == len(drawn)
    assert {batch.model for batch, _ in running.recorded().values()} == {bundle.model}


def test_what_neither_can_answer_is_told_as_the_champion_tells_it(running, tmp_path, raising):
    champion = tiny_bundle(tmp_path / "bundles", misbehaviour=Misbehaviour.RAISES)
    running.deploy(champion, raising, SHARE)
    message = request(row(trigger=TRIGGER), request_id=next(key for key in IDS if is_drawn(key, SHARE)))
    code, detail = status_of_call(running.stub.Predict, message)
    assert code is grpc.StatusCode.INTERNAL
    assert str(champion.model) in detail
    assert failures(running) == 0, "the champion did not answer"
    assert running.engine.stats().errors == {"INTERNAL": 1}


def test_who_names_a_version_that_fails_gets_no_other(running, bundle, raising):
    running.deploy(bundle, raising, SHARE)
    columns = {name: [value] for name, value in row(trigger=TRIGGER).items()}
    message = infer_request(columns, raw=True, model_version="3")
    code, detail = status_of_call(running.oip.ModelInfer, message)
    assert code is grpc.StatusCode.INTERNAL
    assert str(raising.model) in detail
    assert failures(running) == 0


# Deployments


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
