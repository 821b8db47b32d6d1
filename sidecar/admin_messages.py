"""The nouns as messages of the admin API."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.lifecycle import ModelState, Reason
from sidecar.timestamp import set_nanoseconds
from sidecar.v1 import admin_pb2, prediction_pb2

if TYPE_CHECKING:
    from sidecar.domain import Deployment, ModelId
    from sidecar.engine.contract import CanaryStats, StageTimes
    from sidecar.lifecycle import Transition, Version
    from sidecar.shadow.status import ShadowStatus
    from sidecar.signature import Signature


def identity(model: ModelId) -> prediction_pb2.ModelIdentity:
    """Which model."""
    return prediction_pb2.ModelIdentity(name=model.name, version=model.version, digest=model.digest)


def state(of: ModelState | None) -> str:
    """The API's name of where a version stands; unspecified for one that is new."""
    return f"MODEL_STATE_{'UNSPECIFIED' if of is None else of.name}"


def time_of(nanoseconds: int) -> Timestamp:
    """Nanoseconds since the Unix epoch."""
    time = Timestamp()
    set_nanoseconds(time, nanoseconds)
    return time


def version(of: Version) -> admin_pb2.Model:
    """One version and where it stands."""
    return admin_pb2.Model(
        identity=identity(of.model),
        state=state(of.state),
        signature_digest=of.signature_digest,
        path=str(of.path),
        registered_time=time_of(of.registered_ns),
    )


def transition(of: Transition) -> admin_pb2.Transition:
    """One arrow, as it was taken."""
    return admin_pb2.Transition(
        sequence=of.sequence,
        from_state=state(of.from_state),
        to_state=state(of.to_state),
        reason=admin_pb2.Reason(
            actor=of.reason.actor, why=of.reason.why, evidence_digest=of.reason.evidence_digest
        ),
        time=time_of(of.at_ns),
        share=of.share,
        drawn_by=of.drawn_by,
        successor=of.successor,
    )


def deployment(of: Deployment) -> admin_pb2.Deployment:
    """What serves."""
    return admin_pb2.Deployment(
        generation=of.generation,
        champion=identity(of.champion.model) if of.champion else None,
        candidates=[identity(candidate.model) for candidate in of.candidates],
        standby=identity(of.standby.model) if of.standby else None,
        canary=identity(of.canary.ref.model) if of.canary else None,
        canary_share=of.canary.share if of.canary else 0.0,
        canary_drawn_by=(of.canary.by or "") if of.canary else "",
    )


def fields(of: Signature) -> list[admin_pb2.FieldSpec]:
    """What a request must bring."""
    return [
        admin_pb2.FieldSpec(
            name=field.name,
            kind=field.kind,
            missing_allowed=field.missing_allowed,
            lower=field.lower,
            upper=field.upper,
            unit=field.unit,
        )
        for field in of.fields
    ]


def shadow_status(of: ShadowStatus) -> admin_pb2.ShadowStatus:
    """How one worker in the shadow is doing."""
    return admin_pb2.ShadowStatus(
        model=identity(of.model),
        state=of.state,
        scored=of.scored,
        failed=of.failed,
        shed=of.shed,
        queued=of.queued,
        restarts=of.restarts,
        role=of.role,
    )


def canary_counts(of: CanaryStats | None) -> admin_pb2.CanaryCounts | None:
    """What became of the calls; None without a canary."""
    if of is None:
        return None
    return admin_pb2.CanaryCounts(calls=of.calls, answered=of.answered, failed=of.failed)


def stage_times(stage: str, of: StageTimes) -> admin_pb2.StageTimes:
    """How long one stage took."""
    return admin_pb2.StageTimes(stage=stage, **asdict(of))


def reason(message: admin_pb2.Reason) -> Reason:
    """Read who acts and why. Raises InvalidRequestError when either is empty."""
    return Reason(message.actor, message.why, message.evidence_digest)
