"""Which calls the canary of a deployment answers, with each engine."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from canary_calls import COLUMNS, IDS, ONE, ROWS, SHARE, answering, expected, failures
from infer_messages import infer_request, outputs_of
from raw_http2 import call_together
from running_engine import ENGINES, RunningEngine, request
from scipy.stats import binomtest
from tiny_bundles import SIGNATURE, TRIGGER, row, tiny_bundle

from sidecar.canary import Draw, is_drawn, is_entity_drawn
from sidecar.config import Native
from sidecar.domain import Deployment
from sidecar.errors import BundleError
from sidecar.exploration import Exploration, is_explored

PREDICT = "/sidecar.v1.PredictionService/Predict"


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
