import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from sidecar.v1 import prediction_pb2 as _prediction_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_STATE_UNSPECIFIED: _ClassVar[ModelState]
    MODEL_STATE_REGISTERED: _ClassVar[ModelState]
    MODEL_STATE_ADMITTED: _ClassVar[ModelState]
    MODEL_STATE_SHADOW: _ClassVar[ModelState]
    MODEL_STATE_CHAMPION: _ClassVar[ModelState]
    MODEL_STATE_RETIRED: _ClassVar[ModelState]
    MODEL_STATE_REFUSED: _ClassVar[ModelState]
    MODEL_STATE_REJECTED: _ClassVar[ModelState]
    MODEL_STATE_ROLLED_BACK: _ClassVar[ModelState]
    MODEL_STATE_STANDBY: _ClassVar[ModelState]
    MODEL_STATE_CANARY: _ClassVar[ModelState]
    MODEL_STATE_SUPERSEDED: _ClassVar[ModelState]
MODEL_STATE_UNSPECIFIED: ModelState
MODEL_STATE_REGISTERED: ModelState
MODEL_STATE_ADMITTED: ModelState
MODEL_STATE_SHADOW: ModelState
MODEL_STATE_CHAMPION: ModelState
MODEL_STATE_RETIRED: ModelState
MODEL_STATE_REFUSED: ModelState
MODEL_STATE_REJECTED: ModelState
MODEL_STATE_ROLLED_BACK: ModelState
MODEL_STATE_STANDBY: ModelState
MODEL_STATE_CANARY: ModelState
MODEL_STATE_SUPERSEDED: ModelState

class Reason(_message.Message):
    __slots__ = ("actor", "why", "evidence_digest")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    actor: str
    why: str
    evidence_digest: str
    def __init__(self, actor: _Optional[str] = ..., why: _Optional[str] = ..., evidence_digest: _Optional[str] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("identity", "state", "signature_digest", "path", "registered_time")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_TIME_FIELD_NUMBER: _ClassVar[int]
    identity: _prediction_pb2.ModelIdentity
    state: ModelState
    signature_digest: str
    path: str
    registered_time: _timestamp_pb2.Timestamp
    def __init__(self, identity: _Optional[_Union[_prediction_pb2.ModelIdentity, _Mapping]] = ..., state: _Optional[_Union[ModelState, str]] = ..., signature_digest: _Optional[str] = ..., path: _Optional[str] = ..., registered_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class FieldSpec(_message.Message):
    __slots__ = ("name", "kind", "missing_allowed", "lower", "upper", "unit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MISSING_ALLOWED_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    missing_allowed: bool
    lower: float
    upper: float
    unit: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., missing_allowed: _Optional[bool] = ..., lower: _Optional[float] = ..., upper: _Optional[float] = ..., unit: _Optional[str] = ...) -> None: ...

class Transition(_message.Message):
    __slots__ = ("sequence", "from_state", "to_state", "reason", "time", "share", "drawn_by", "successor")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    FROM_STATE_FIELD_NUMBER: _ClassVar[int]
    TO_STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    DRAWN_BY_FIELD_NUMBER: _ClassVar[int]
    SUCCESSOR_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    from_state: ModelState
    to_state: ModelState
    reason: Reason
    time: _timestamp_pb2.Timestamp
    share: float
    drawn_by: str
    successor: str
    def __init__(self, sequence: _Optional[int] = ..., from_state: _Optional[_Union[ModelState, str]] = ..., to_state: _Optional[_Union[ModelState, str]] = ..., reason: _Optional[_Union[Reason, _Mapping]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., share: _Optional[float] = ..., drawn_by: _Optional[str] = ..., successor: _Optional[str] = ...) -> None: ...

class Deployment(_message.Message):
    __slots__ = ("generation", "champion", "candidates", "standby", "canary", "canary_share", "canary_drawn_by")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    STANDBY_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    CANARY_SHARE_FIELD_NUMBER: _ClassVar[int]
    CANARY_DRAWN_BY_FIELD_NUMBER: _ClassVar[int]
    generation: int
    champion: _prediction_pb2.ModelIdentity
    candidates: _containers.RepeatedCompositeFieldContainer[_prediction_pb2.ModelIdentity]
    standby: _prediction_pb2.ModelIdentity
    canary: _prediction_pb2.ModelIdentity
    canary_share: float
    canary_drawn_by: str
    def __init__(self, generation: _Optional[int] = ..., champion: _Optional[_Union[_prediction_pb2.ModelIdentity, _Mapping]] = ..., candidates: _Optional[_Iterable[_Union[_prediction_pb2.ModelIdentity, _Mapping]]] = ..., standby: _Optional[_Union[_prediction_pb2.ModelIdentity, _Mapping]] = ..., canary: _Optional[_Union[_prediction_pb2.ModelIdentity, _Mapping]] = ..., canary_share: _Optional[float] = ..., canary_drawn_by: _Optional[str] = ...) -> None: ...

class ShadowStatus(_message.Message):
    __slots__ = ("model", "state", "scored", "failed", "shed", "queued", "restarts", "role")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SCORED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    SHED_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    model: _prediction_pb2.ModelIdentity
    state: str
    scored: int
    failed: int
    shed: int
    queued: int
    restarts: int
    role: str
    def __init__(self, model: _Optional[_Union[_prediction_pb2.ModelIdentity, _Mapping]] = ..., state: _Optional[str] = ..., scored: _Optional[int] = ..., failed: _Optional[int] = ..., shed: _Optional[int] = ..., queued: _Optional[int] = ..., restarts: _Optional[int] = ..., role: _Optional[str] = ...) -> None: ...

class CanaryCounts(_message.Message):
    __slots__ = ("calls", "answered", "failed")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    calls: int
    answered: int
    failed: int
    def __init__(self, calls: _Optional[int] = ..., answered: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class StageTimes(_message.Message):
    __slots__ = ("stage", "count", "p50_ns", "p99_ns", "p999_ns", "max_ns")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    P50_NS_FIELD_NUMBER: _ClassVar[int]
    P99_NS_FIELD_NUMBER: _ClassVar[int]
    P999_NS_FIELD_NUMBER: _ClassVar[int]
    MAX_NS_FIELD_NUMBER: _ClassVar[int]
    stage: str
    count: int
    p50_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int
    def __init__(self, stage: _Optional[str] = ..., count: _Optional[int] = ..., p50_ns: _Optional[int] = ..., p99_ns: _Optional[int] = ..., p999_ns: _Optional[int] = ..., max_ns: _Optional[int] = ...) -> None: ...

class RegisterModelRequest(_message.Message):
    __slots__ = ("path", "reason")
    PATH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    path: str
    reason: Reason
    def __init__(self, path: _Optional[str] = ..., reason: _Optional[_Union[Reason, _Mapping]] = ...) -> None: ...

class RegisterModelResponse(_message.Message):
    __slots__ = ("model", "finding")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FINDING_FIELD_NUMBER: _ClassVar[int]
    model: Model
    finding: str
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ..., finding: _Optional[str] = ...) -> None: ...

class StartShadowRequest(_message.Message):
    __slots__ = ("digest", "reason")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    digest: str
    reason: Reason
    def __init__(self, digest: _Optional[str] = ..., reason: _Optional[_Union[Reason, _Mapping]] = ...) -> None: ...

class StartShadowResponse(_message.Message):
    __slots__ = ("deployment",)
    DEPLOYMENT_FIELD_NUMBER: _ClassVar[int]
    deployment: Deployment
    def __init__(self, deployment: _Optional[_Union[Deployment, _Mapping]] = ...) -> None: ...

class PromoteRequest(_message.Message):
    __slots__ = ("digest", "reason")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    digest: str
    reason: Reason
    def __init__(self, digest: _Optional[str] = ..., reason: _Optional[_Union[Reason, _Mapping]] = ...) -> None: ...

class PromoteResponse(_message.Message):
    __slots__ = ("deployment",)
    DEPLOYMENT_FIELD_NUMBER: _ClassVar[int]
    deployment: Deployment
    def __init__(self, deployment: _Optional[_Union[Deployment, _Mapping]] = ...) -> None: ...

class RollBackRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: Reason
    def __init__(self, reason: _Optional[_Union[Reason, _Mapping]] = ...) -> None: ...

class RollBackResponse(_message.Message):
    __slots__ = ("deployment",)
    DEPLOYMENT_FIELD_NUMBER: _ClassVar[int]
    deployment: Deployment
    def __init__(self, deployment: _Optional[_Union[Deployment, _Mapping]] = ...) -> None: ...

class DescribeModelRequest(_message.Message):
    __slots__ = ("digest",)
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    digest: str
    def __init__(self, digest: _Optional[str] = ...) -> None: ...

class DescribeModelResponse(_message.Message):
    __slots__ = ("model", "fields", "transitions")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    TRANSITIONS_FIELD_NUMBER: _ClassVar[int]
    model: Model
    fields: _containers.RepeatedCompositeFieldContainer[FieldSpec]
    transitions: _containers.RepeatedCompositeFieldContainer[Transition]
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ..., fields: _Optional[_Iterable[_Union[FieldSpec, _Mapping]]] = ..., transitions: _Optional[_Iterable[_Union[Transition, _Mapping]]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class WatchDeploymentRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchDeploymentResponse(_message.Message):
    __slots__ = ("deployment",)
    DEPLOYMENT_FIELD_NUMBER: _ClassVar[int]
    deployment: Deployment
    def __init__(self, deployment: _Optional[_Union[Deployment, _Mapping]] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("engine", "started_time", "deployment", "served", "errors", "dropped", "written", "failed", "queued", "outcomes", "lost_before", "shadows", "deploy_error", "scores_failed", "engine_reason", "stages", "sampled_out", "waiting", "sealing", "canary")
    class ErrorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    STARTED_TIME_FIELD_NUMBER: _ClassVar[int]
    DEPLOYMENT_FIELD_NUMBER: _ClassVar[int]
    SERVED_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    LOST_BEFORE_FIELD_NUMBER: _ClassVar[int]
    SHADOWS_FIELD_NUMBER: _ClassVar[int]
    DEPLOY_ERROR_FIELD_NUMBER: _ClassVar[int]
    SCORES_FAILED_FIELD_NUMBER: _ClassVar[int]
    ENGINE_REASON_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    SAMPLED_OUT_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    SEALING_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    engine: str
    started_time: _timestamp_pb2.Timestamp
    deployment: Deployment
    served: int
    errors: _containers.ScalarMap[str, int]
    dropped: int
    written: int
    failed: int
    queued: int
    outcomes: int
    lost_before: int
    shadows: _containers.RepeatedCompositeFieldContainer[ShadowStatus]
    deploy_error: str
    scores_failed: int
    engine_reason: str
    stages: _containers.RepeatedCompositeFieldContainer[StageTimes]
    sampled_out: int
    waiting: int
    sealing: str
    canary: CanaryCounts
    def __init__(self, engine: _Optional[str] = ..., started_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deployment: _Optional[_Union[Deployment, _Mapping]] = ..., served: _Optional[int] = ..., errors: _Optional[_Mapping[str, int]] = ..., dropped: _Optional[int] = ..., written: _Optional[int] = ..., failed: _Optional[int] = ..., queued: _Optional[int] = ..., outcomes: _Optional[int] = ..., lost_before: _Optional[int] = ..., shadows: _Optional[_Iterable[_Union[ShadowStatus, _Mapping]]] = ..., deploy_error: _Optional[str] = ..., scores_failed: _Optional[int] = ..., engine_reason: _Optional[str] = ..., stages: _Optional[_Iterable[_Union[StageTimes, _Mapping]]] = ..., sampled_out: _Optional[int] = ..., waiting: _Optional[int] = ..., sealing: _Optional[str] = ..., canary: _Optional[_Union[CanaryCounts, _Mapping]] = ...) -> None: ...
