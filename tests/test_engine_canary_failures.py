"""What becomes of the calls on which a canary fails, with each engine."""

import grpc
import numpy as np
from canary_calls import IDS, SHARE, expected, failures
from infer_messages import infer_request, outputs_of
from running_engine import request, status_of_call
from tiny_bundles import TRIGGER, Misbehaviour, row, tiny_bundle

from sidecar.canary import is_drawn


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
        batch, at = recorded[key]
        if drawn and place % 2:
            assert 0 < batch.failed_ns[at] < 10**10
        if not drawn:
            assert batch.failed_ns[at] == 0, "its callers did not wait for the canary"
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
    recorded = running.recorded().values()
    assert {batch.model for batch, _ in recorded} == {bundle.model}
    assert all(batch.failed_ns[at] > 0 for batch, at in recorded)


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
