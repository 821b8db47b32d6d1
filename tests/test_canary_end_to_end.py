"""A canary beside a real sidecar: who answers, who scores, and how one that fails is ended."""

import json
from urllib.request import urlopen

from sidecar_process import SidecarProcess, run_cli, wait_for_activation, wait_until
from tiny_bundles import TRIGGER, Misbehaviour, row, tiny_bundle
from trainer_process import run_trainer

from sidecar.canary import is_drawn, is_entity_drawn
from sidecar.client import Client
from sidecar.domain import to_texts
from sidecar.lifecycle import ModelState, Reason
from sidecar.registry import Registry
from sidecar.store.reader import LogReader
from trainer.promote import promote_first, shadow

WHY = Reason("tests", "to see")
SHARE = 0.4


def start_canary(home, bundle, by=None):
    """Let a bundle answer its share once the sidecar has taken that up."""
    with Registry(home / "registry.db") as registry:
        shadow(registry, bundle.path, WHY)
        deployment = registry.start_canary(bundle.model.digest, SHARE, WHY, by=by)
    wait_for_activation(home, deployment.generation)


def status(home):
    return json.loads(run_cli("status", "--json", home=home).stdout)


def metrics(sidecar):
    address = next(line.split()[1] for line in sidecar.lines if line.startswith("metrics"))
    with urlopen(address, timeout=30) as reply:
        return reply.read().decode()


def first_champion(home):
    bundle = tiny_bundle(home / "bundles")
    with Registry(home / "registry.db") as registry:
        promote_first(registry, bundle.path, WHY)
    return bundle


def scored_ids(home, candidate, champion):
    with LogReader(home / "log.db") as log:
        batches = log.scores(candidate.model.digest, champion.model.digest)
        return [key for batch in batches for key in to_texts(batch.request_ids)]


def test_it_answers_its_share_and_each_is_scored_by_the_other(tmp_path):
    champion, canary = first_champion(tmp_path), tiny_bundle(tmp_path / "bundles", "2", weight=-1.5)
    ids = [f"r{number}" for number in range(200)]
    with SidecarProcess(tmp_path, SIDECAR_METRICS_LISTEN="127.0.0.1:0") as sidecar:
        start_canary(tmp_path, canary)
        with Client(sidecar.target) as client:
            replies = [client.predict(row(), request_id=one) for one in ids]
        drawn = [one for one in ids if is_drawn(one, SHARE)]
        assert 0 < len(drawn) < len(ids)
        assert [reply.request_id for reply in replies if reply.model == canary.model] == drawn
        wait_until(lambda: len(scored_ids(tmp_path, canary, champion)) == len(ids) - len(drawn))
        wait_until(lambda: scored_ids(tmp_path, champion, canary) == drawn)
        found = status(tmp_path)
        assert (found["canary"]["digest"], found["canary"]["share"]) == (canary.model.digest, SHARE)
        counts = {name: found["canary"][name] for name in ("calls", "answered", "failed")}
        assert counts == {"calls": len(ids), "answered": len(drawn), "failed": 0}
        assert {one["role"] for one in found["shadows"]} == {"canary", "champion", "copy"}
        shown = run_cli("status", home=tmp_path).stdout
        assert "40.00% of the calls, drawn by their ids" in shown
        assert f"{len(drawn)} of 200 calls ({len(drawn) / 200:.2%}) were its own since then" in shown
        answered = f'sidecar_canary_answered_total{{digest="{canary.model.digest}"}} {len(drawn)}.0'
        assert answered in metrics(sidecar)
        assert sidecar.stop() == 0


def test_a_customer_meets_one_model_where_it_is_drawn_by_a_field(tmp_path):
    first_champion(tmp_path)
    canary = tiny_bundle(tmp_path / "bundles", "2", weight=-1.5)
    with SidecarProcess(tmp_path) as sidecar:
        start_canary(tmp_path, canary, by="colour")
        with Client(sidecar.target) as client:
            met = {
                colour: {client.predict(row(colour=colour)).model.version for _ in range(3)}
                for colour in (f"colour {number}" for number in range(40))
            }
        drawn = {colour for colour in met if is_entity_drawn(colour.encode(), SHARE, canary.model.digest)}
        assert met == {colour: {"2" if colour in drawn else "1"} for colour in met}
        assert 0 < len(drawn) < len(met)
        assert status(tmp_path)["canary"]["drawn_by"] == "colour"
        assert "40.00% of the calls, drawn by colour" in run_cli("status", home=tmp_path).stdout
        assert sidecar.stop() == 0


def test_one_that_fails_calls_is_ended_by_the_sidecar_and_no_caller_notices(tmp_path):
    champion = first_champion(tmp_path)
    canary = tiny_bundle(tmp_path / "bundles", "2", misbehaviour=Misbehaviour.RAISES)
    with SidecarProcess(tmp_path, SIDECAR_SHADOW_CANARY_FAILURES="3") as sidecar:
        start_canary(tmp_path, canary)
        drawn = iter(one for one in map(str, range(10_000)) if is_drawn(one, SHARE))
        with Client(sidecar.target) as client:
            assert client.predict(row(), request_id=next(drawn)).model == canary.model
            for failed in range(1, 4):
                reply = client.predict(row(trigger=TRIGGER), request_id=next(drawn))
                assert reply.model == champion.model
                if failed == 1:
                    counts = {name: status(tmp_path)["canary"][name] for name in ("answered", "failed")}
                    assert counts == {"answered": 1, "failed": 1}
                    assert "1 of which the champion answered" in run_cli("status", home=tmp_path).stdout
            with Registry(tmp_path / "registry.db") as registry:
                wait_until(lambda: registry.find(canary.model.digest).state is ModelState.REJECTED)
                newest = registry.transitions(canary.model.digest)[-1]
                wait_for_activation(tmp_path, registry.generation())
            assert client.predict(row(), request_id=next(drawn)).model == champion.model
        assert newest.reason.actor == "sidecar"
        assert newest.reason.why == (
            "as canary it failed on 3 of 4 calls, which the champion answered instead; "
            "[shadow] canary_failures is 3"
        )
        assert "as canary it failed on 3 of 4 calls" in run_trainer(tmp_path, "audit").stdout
        assert status(tmp_path)["canary"] is None
        assert sidecar.stop() == 0
