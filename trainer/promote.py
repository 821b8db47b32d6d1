"""Acts on decisions. The registry is the only way to the sidecar; nothing here speaks to it directly."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from sidecar.admission import register_and_admit
from sidecar.canonical_json import canonical_json
from sidecar.errors import AdmissionError, ConflictError, NoChampionError
from sidecar.lifecycle import ModelState, Reason
from sidecar.registry import NOBODY, StoredDecision
from sidecar.succession import start_shadow
from trainer.gate import Action
from trainer.policy import Policy

if TYPE_CHECKING:
    from pathlib import Path

    from sidecar.domain import Deployment
    from sidecar.lifecycle import Version
    from sidecar.registry import Activation, Registry
    from trainer.evidence import Evidence
    from trainer.gate import Decision
    from trainer.probation.facts import Probation

POLL_SECONDS = 0.1


def register(registry: Registry, bundle_path: Path, reason: Reason) -> Version:
    """Make a bundle known to the registry and admit it, unless that was done before.

    Raises BundleError when it is damaged, and AdmissionError when it is or was refused; that stays on record.
    """
    version, finding = register_and_admit(registry, bundle_path, reason)
    if version.state is ModelState.REFUSED:
        raise AdmissionError(f"{version.model} is refused: {finding}")
    return version


def shadow(registry: Registry, bundle_path: Path, reason: Reason, *, override: bool = False) -> Version:
    """Let a bundle score live traffic beside the champion: admit it, register it, and `start_shadow`.

    Raises ConflictError when the version's life is over or it is the champion, and as `register` does.
    """
    version = register(registry, bundle_path, reason)
    return start_shadow(registry, version.model.digest, reason, override=override)


def promote_first(registry: Registry, bundle_path: Path, reason: Reason) -> Deployment:
    """Make a bundle the first champion; there is nothing yet that it could be compared with.

    Raises ConflictError when there is a champion, and as `register` does.
    """
    champion = registry.champion()
    if champion is not None:
        raise ConflictError(f"{champion.model} is the champion; shadow the candidate and let the gate decide")
    version = register(registry, bundle_path, reason)
    return registry.promote(version.model.digest, reason, over=NOBODY)


def save(registry: Registry, evidence: Evidence | Probation, decision: Decision, policy: Policy) -> None:
    """Keep a decision together with the evidence and the policy it rests on."""
    budget, left = evidence.budget(policy)
    registry.save_decision(
        StoredDecision(
            candidate=decision.candidate.digest,
            champion=decision.champion.digest,
            action=decision.action,
            reasons=list(decision.reasons),
            e_value=decision.e_value,
            wanted=decision.wanted,
            budget=budget,
            budget_left=left,
            evidence_digest=decision.evidence_digest,
            policy_digest=decision.policy_digest,
            evidence_json=evidence.canonical_json,
            policy_json=canonical_json(policy.to_json()),
            decided_ns=decision.decided_ns,
            logged_ns=decision.logged_ns,
            actor=decision.actor,
        )
    )


def act(registry: Registry, decision: Decision, policy: Policy) -> Deployment | None:
    """Do what was decided: promote over the champion it was judged against, reject, or (hold) nothing.

    Where the policy has a canary, whoever is to be promoted out of the shadow answers its first share of the
    calls instead, and a canary its next one. Of a champion on probation: roll back to the former one, or let
    that one retire, whether the champion passed or could not be judged. Returns what is to be deployed now,
    None for hold. Raises ConflictError when somebody moved first, such as another promotion since the
    evidence was gathered.
    """
    reason = Reason(decision.actor, " ".join(decision.reasons), decision.evidence_digest)
    if decision.action is Action.HOLD:
        return None
    if decision.action in (Action.PROMOTE, Action.CANARY):
        promoting = decision.action is Action.PROMOTE
        over = decision.champion.digest
        return _advance(registry, decision.candidate.digest, over, reason, policy, promoting=promoting)
    if decision.action is Action.ROLL_BACK:
        return registry.roll_back(reason, over=decision.champion.digest)
    version = registry.find(decision.candidate.digest)
    to = ModelState.REJECTED if decision.action is Action.REJECT else ModelState.RETIRED
    registry.move(version.model.digest, expected=version.state, to=to, reason=reason)
    return registry.deployment()


def _advance(
    registry: Registry, digest: str, over: str, reason: Reason, policy: Policy, *, promoting: bool
) -> Deployment:
    """Promote, or give the policy's first or next share; promoting: a canary has passed its last one."""
    canary = registry.deployment().canary
    share = canary.share if canary and canary.ref.model.digest == digest else 0.0
    following = policy.next_share(share)
    if promoting and (share or following is None):
        return registry.promote(digest, reason, over=over)
    if following is None or not (promoting or share):
        raise ConflictError(f"{digest[:12]} is the canary no more, or has the policy's last share")
    return registry.start_canary(digest, following, reason, by=policy.canary_by, over=over)


def promote_as_decided(registry: Registry, digest: str, actor: str, why: str) -> Deployment:
    """Promote a candidate on the strength of its newest stored decision; to canary, where the policy has one.

    Raises ConflictError when that is not a decision to promote it over the present champion.
    """
    champion = registry.champion()
    if champion is None:
        raise NoChampionError("there is no champion to decide against; promote the first with --first")
    decision = registry.newest_decision(candidate=digest)
    if decision is None:
        raise ConflictError(f"there is no decision on {digest[:12]}; run `trainer decide` first")
    if decision.champion != champion.model.digest:
        raise ConflictError(
            f"{digest[:12]} was judged against {decision.champion[:12]}, but the champion is now "
            f"{champion.model}; run `trainer decide` again"
        )
    if decision.action != Action.PROMOTE:
        raise ConflictError(
            f"the newest decision on {digest[:12]} is {decision.action}: {' '.join(decision.reasons)} "
            "To promote it all the same, give --override"
        )
    grounds = " ".join([why, *decision.reasons])
    reason = Reason(actor, grounds, decision.evidence_digest)
    policy = Policy.from_json(json.loads(decision.policy_json))
    return _advance(registry, digest, decision.champion, reason, policy, promoting=True)


def promote_by_override(registry: Registry, digest: str, actor: str, why: str) -> Deployment:
    """Promote against or without a decision; the audit says so."""
    champion = registry.champion()
    over = NOBODY if champion is None else champion.model.digest
    return registry.promote(digest, Reason(actor, f"override of the gate: {why}"), over=over)


def wait_until_active(registry: Registry, generation: int, timeout_seconds: float) -> Activation | None:
    """Wait for a sidecar to say what it made of a generation; None when none said anything in time."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        activation = registry.activation(generation)
        if activation is not None or time.monotonic() > deadline:
            return activation
        time.sleep(POLL_SECONDS)
