import json
import threading
import time

import pytest
from made_evidence import GAINS, POLICY, evidence, gained
from tiny_bundles import SIGNATURE, Misbehaviour, tiny_bundle

from sidecar.errors import AdmissionError, BundleError, ConflictError, NoChampionError
from sidecar.lifecycle import ModelState, Reason
from sidecar.registry import Registry
from sidecar.signature import Field, Signature
from trainer.budget import ErrorShare, error_shares
from trainer.evidence import Evidence
from trainer.gate import Action, Policy, decide
from trainer.promote import (
    act,
    promote_as_decided,
    promote_by_override,
    promote_first,
    save,
    shadow,
    wait_until_active,
)

WHY = Reason("tester", "because")


@pytest.fixture
def registry(tmp_path):
    with Registry(tmp_path / "registry.db") as opened:
        yield opened


@pytest.fixture
def bundles(tmp_path):
    return tmp_path / "bundles"


@pytest.fixture
def champion(registry, bundles):
    bundle = tiny_bundle(bundles, "champion")
    promote_first(registry, bundle.path, WHY)
    return bundle.model


def state(registry, model):
    return registry.find(model.digest).state


def judged(champion, candidate, **changes):
    facts = evidence(champion=champion, candidate=candidate, **changes)
    return facts, decide(facts, POLICY, decided_ns=time.time_ns(), actor="tester")


def shadowed(registry, bundles, version, weight=3.0):
    bundle = tiny_bundle(bundles, version, weight=weight)
    shadow(registry, bundle.path, WHY)
    return bundle.model


def test_first_champion_needs_no_evidence_and_there_is_only_one_first(registry, bundles, champion):
    assert registry.champion().model == champion
    with pytest.raises(ConflictError, match="is the champion; shadow the candidate"):
        promote_first(registry, tiny_bundle(bundles, "other").path, WHY)


@pytest.mark.usefixtures("champion")
def test_shadow_admits_registers_and_starts(registry, bundles):
    candidate = shadowed(registry, bundles, "2")
    assert [ref.model for ref in registry.deployment().candidates] == [candidate]
    passed = [step.to_state for step in registry.transitions(candidate.digest)]
    assert passed == [ModelState.REGISTERED, ModelState.ADMITTED, ModelState.SHADOW]


@pytest.mark.usefixtures("champion")
def test_shadow_again_changes_nothing(registry, bundles):
    candidate = shadowed(registry, bundles, "2")
    generation = registry.deployment().generation
    shadow(registry, bundles / candidate.digest, WHY)
    assert registry.deployment().generation == generation


def test_shadow_without_a_champion_is_refused(registry, bundles):
    with pytest.raises(NoChampionError):
        shadow(registry, tiny_bundle(bundles, "1").path, WHY)


@pytest.mark.usefixtures("champion")
def test_refused_bundle_is_refused_again_and_never_runs(registry, bundles):
    bundle = tiny_bundle(bundles, "bad", weight=float("nan"))
    for _ in range(2):
        with pytest.raises(AdmissionError, match="bad"):
            shadow(registry, bundle.path, WHY)
    assert state(registry, bundle.model) is ModelState.REFUSED
    assert registry.deployment().candidates == ()


@pytest.mark.usefixtures("champion")
def test_damaged_bundle_is_not_registered(registry, bundles):
    bundle = tiny_bundle(bundles, "2", misbehaviour=Misbehaviour.RAISES)
    (bundle.path / "more.txt").write_text("x")
    with pytest.raises(BundleError, match=r"more\.txt"):
        shadow(registry, bundle.path, WHY)
    assert len(registry.versions()) == 1


def test_decision_is_acted_upon(registry, bundles, champion):
    better, worse, unsure = (
        shadowed(registry, bundles, version, weight=w) for version, w in zip("234", (3, 4, 5), strict=True)
    )
    losing = gained(*(-gain for gain in GAINS))
    for candidate, changes in ((worse, losing), (unsure, {"joined": 0}), (better, {})):
        facts, decision = judged(champion, candidate, **changes)
        save(registry, facts, decision, POLICY)
        act(registry, decision, POLICY)
    assert state(registry, worse) is ModelState.REJECTED
    assert state(registry, unsure) is ModelState.SHADOW
    assert registry.champion().model == better
    newest = registry.transitions(better.digest)[-1]
    assert newest.reason.evidence_digest == judged(champion, better)[0].digest
    assert "earns more" in newest.reason.why


def test_decision_against_a_former_champion_is_refused(registry, bundles, champion):
    first, second = shadowed(registry, bundles, "2", 3.0), shadowed(registry, bundles, "3", 4.0)
    decisions = [judged(champion, candidate)[1] for candidate in (first, second)]
    act(registry, decisions[0], POLICY)
    with pytest.raises(ConflictError, match="judged against"):
        act(registry, decisions[1], POLICY)
    assert registry.champion().model == first


def test_saved_decision_can_be_made_again_from_what_was_saved(registry, bundles, champion):
    facts, decision = judged(champion, shadowed(registry, bundles, "2"))
    save(registry, facts, decision, POLICY)
    stored = registry.decisions()[0]
    replayed = decide(
        Evidence.from_json(json.loads(stored.evidence_json)),
        POLICY,
        decided_ns=stored.decided_ns,
        actor=stored.actor,
    )
    assert replayed == decision
    assert (stored.action, stored.evidence_digest) == (Action.PROMOTE, replayed.evidence_digest)
    assert Policy.from_json(json.loads(stored.policy_json)) == POLICY
    assert (stored.e_value, stored.wanted) == (decision.e_value, 40)
    assert (stored.budget, stored.budget_left) == (0.025, 0.025)


def test_promotion_by_hand_needs_a_decision(registry, bundles, champion):
    candidate = shadowed(registry, bundles, "2")
    with pytest.raises(ConflictError, match="run `trainer decide` first"):
        promote_as_decided(registry, candidate.digest, "tester", "please")
    save(registry, *judged(champion, candidate), POLICY)
    assert promote_as_decided(registry, candidate.digest, "tester", "please") == registry.deployment()
    assert registry.champion().model == candidate


def test_newest_decision_counts(registry, bundles, champion):
    candidate = shadowed(registry, bundles, "2")
    save(registry, *judged(champion, candidate), POLICY)
    save(registry, *judged(champion, candidate, joined=0), POLICY)
    with pytest.raises(ConflictError, match="is hold: Too few rows"):
        promote_as_decided(registry, candidate.digest, "tester", "please")


def test_decision_on_a_former_champion_does_not_promote_by_hand(registry, bundles, champion):
    candidate, other = shadowed(registry, bundles, "2", 3.0), shadowed(registry, bundles, "3", 4.0)
    save(registry, *judged(champion, candidate), POLICY)
    promote_by_override(registry, other.digest, "tester", "urgent")
    with pytest.raises(ConflictError, match="run `trainer decide` again"):
        promote_as_decided(registry, candidate.digest, "tester", "please")


@pytest.mark.usefixtures("champion")
def test_override_is_on_record(registry, bundles):
    candidate = shadowed(registry, bundles, "2")
    promote_by_override(registry, candidate.digest, "tester", "the gate is too slow for us")
    reason = registry.transitions(candidate.digest)[-1].reason
    assert reason.why == "override of the gate: the gate is too slow for us"
    assert reason.actor == "tester"


def test_candidates_share_the_budget_in_the_order_in_which_they_came(registry, bundles, champion):
    assert error_shares(registry, champion.digest) == {}
    first, second = shadowed(registry, bundles, "2", 3.0), shadowed(registry, bundles, "3", 4.0)
    together = {first.digest: ErrorShare(0, 2), second.digest: ErrorShare(0, 2)}
    assert error_shares(registry, champion.digest) == together
    registry.move(first.digest, expected=ModelState.SHADOW, to=ModelState.REJECTED, reason=WHY)
    save(registry, *judged(champion, second, joined=0), POLICY)
    third, fourth = shadowed(registry, bundles, "4", 5.0), shadowed(registry, bundles, "5", 6.0)
    later = {third.digest: ErrorShare(2, 4), fourth.digest: ErrorShare(2, 4)}
    shares = error_shares(registry, champion.digest)
    assert shares == together | later
    assert sum(share.of(0.05) for share in shares.values()) == pytest.approx(0.05 * 4 / 5)


def test_each_reign_has_a_budget_of_its_own_that_its_return_goes_on_with(registry, bundles, champion):
    first, second, third = (
        shadowed(registry, bundles, v, w) for v, w in zip("234", (3.0, 4.0, 5.0), strict=True)
    )
    promote_by_override(registry, first.digest, "tester", "next")
    # Both that are left restart: their evidence against the old champion counts no more.
    shares = error_shares(registry, first.digest)
    assert shares == {second.digest: ErrorShare(0, 2), third.digest: ErrorShare(0, 2)}
    save(registry, *judged(first, second, joined=0), POLICY)
    fourth = shadowed(registry, bundles, "5", 6.0)
    assert error_shares(registry, first.digest)[fourth.digest] == ErrorShare(2, 3)
    registry.roll_back(WHY)
    assert len(error_shares(registry, champion.digest)) == 4


@pytest.mark.usefixtures("champion")
def test_waiting_ends_when_a_sidecar_speaks(registry):
    generation = registry.deployment().generation
    assert wait_until_active(registry, generation, 0.05) is None
    speaker = threading.Timer(0.2, registry.record_activation, (generation, "sidecar-1", ""))
    speaker.start()
    activation = wait_until_active(registry, generation, 20)
    speaker.join()
    assert activation == registry.activation(generation)
    assert "sidecar-1" in repr(activation)


@pytest.mark.usefixtures("champion")
def test_other_fields_than_the_champions_cannot_be_shadowed(registry, bundles):
    other = Signature((*SIGNATURE.fields[:3], Field("colour", SIGNATURE.fields[3].kind)))
    bundle = tiny_bundle(bundles, "2", signature=other)
    with pytest.raises(Exception, match="expects other fields"):
        shadow(registry, bundle.path, WHY)
