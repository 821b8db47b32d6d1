"""sidecar.v1.PredictionService: predictions by named raw fields, and their outcomes."""
# ruff: noqa: N802 - the method names are the protocol's

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from sidecar.domain import Outcome
from sidecar.engine.request_id import RequestIds, check_request_id, is_request_id
from sidecar.engine.ring import Answered, Ring
from sidecar.errors import InvalidRequestError, SignatureMismatchError
from sidecar.exploration import MOST_SHARE
from sidecar.timestamp import to_nanoseconds
from sidecar.v1 import prediction_pb2, prediction_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence

    from google.protobuf.timestamp_pb2 import Timestamp

    from sidecar.engine.champion import Champion
    from sidecar.engine.outcome_desk import OutcomeDesk
    from sidecar.engine.stages import Stages
    from sidecar.signature import FieldValue, Signature

MAX_OUTCOMES = 10_000
MOST_AHEAD_NS = 3_600 * 1_000_000_000
"""How far a caller's clock may be ahead of this one."""


class PredictionService(prediction_pb2_grpc.PredictionServiceServicer):
    """Scores on the event loop: a run takes tens of microseconds, a hop to a thread would cost more."""

    def __init__(
        self, champion: Champion, ring: Ring, ids: RequestIds, desk: OutcomeDesk, stages: Stages
    ) -> None:
        self._champion = champion
        self._ring = ring
        self._ids = ids
        self._desk = desk
        self._stages = stages

    async def Predict(
        self, request: prediction_pb2.PredictRequest, client: str
    ) -> prediction_pb2.PredictResponse:
        """Score one record."""
        return self._predict(request, client)

    async def PredictStream(
        self, requests: AsyncIterable[prediction_pb2.PredictRequest], client: str
    ) -> AsyncIterator[prediction_pb2.PredictResponse]:
        """Score records one after another; each may be answered by another model."""
        async for request in requests:
            yield self._predict(request, client)

    async def RecordOutcome(
        self, request: prediction_pb2.RecordOutcomeRequest, _: str
    ) -> prediction_pb2.RecordOutcomeResponse:
        """Reply once the outcomes are stored."""
        receipt = await self._desk.record(_outcomes(request.outcomes, time.time_ns()))
        return prediction_pb2.RecordOutcomeResponse(
            stored=receipt.stored, duplicates=receipt.duplicates, conflicts=receipt.conflicts
        )

    def _predict(self, request: prediction_pb2.PredictRequest, client: str) -> prediction_pb2.PredictResponse:
        start = time.perf_counter_ns()
        received_ns = time.time_ns()
        serving = self._champion.serving
        signature = serving.signature
        if request.signature_digest:
            _check_digest(request.signature_digest, signature)
        request_id = check_request_id(request.request_id) if request.request_id else self._ids.make()
        event_ns = received_ns
        if request.HasField("event_time"):
            event_ns = _event_ns(request.event_time, received_ns)

        decoding = time.perf_counter_ns()
        blocks = signature.pack(_record(request.fields))
        answering = serving.answering(request_id, blocks)
        decoded = time.perf_counter_ns()
        model, prediction, failed_ns = self._champion.run(answering, blocks)
        identity = model.bundle.model
        propensity = model.bundle.exploration.propensity((request_id,), prediction.decision)
        encoding = time.perf_counter_ns()

        queue_ns = decoding - start
        self._ring.push(
            Answered(
                identity,
                (request_id,),
                client,
                received_ns,
                event_ns,
                blocks,
                prediction,
                propensity,
                queue_ns,
                failed_ns,
            )
        )
        explored = bool(propensity[0] < MOST_SHARE)
        response = prediction_pb2.PredictResponse(
            request_id=request_id,
            score=prediction.score[0],
            decision=bool(prediction.decision[0]) != explored,
            explored=explored,
            model=prediction_pb2.ModelIdentity(
                name=identity.name, version=identity.version, digest=identity.digest
            ),
        )
        decode_ns, infer_ns = decoded - decoding, prediction.infer_ns
        timings = response.timings
        timings.queue_ns, timings.decode_ns, timings.infer_ns = queue_ns, decode_ns, infer_ns
        timings.encode_ns = encode_ns = time.perf_counter_ns() - encoding
        self._stages.record(queue_ns, decode_ns, infer_ns, encode_ns)
        return response


def _event_ns(event_time: Timestamp, received_ns: int) -> int:
    event_ns = to_nanoseconds(event_time, "event_time")
    if event_ns > received_ns + MOST_AHEAD_NS:
        # One such row would make every other look as if its outcome must have arrived.
        raise InvalidRequestError("event_time is over an hour in the future; send when the event happened")
    return event_ns


def _check_digest(digest: str, signature: Signature) -> None:
    if digest != signature.digest:
        raise SignatureMismatchError(
            f"the caller was built against signature {digest[:8]!a}, deployed is {signature.digest[:8]!a}; "
            "build it against the deployed one"
        )


def _record(fields: Mapping[str, prediction_pb2.FieldValue]) -> dict[str, FieldValue]:
    record: dict[str, FieldValue] = {}
    for name, value in fields.items():
        kind = value.WhichOneof("value")
        if kind is None:
            raise InvalidRequestError(
                f"field {name!a} has no value; set one of number, integer, text, missing"
            )
        record[name] = None if kind == "missing" else getattr(value, kind)
    return record


def _outcomes(messages: Sequence[prediction_pb2.Outcome], now_ns: int) -> list[Outcome]:
    if not 1 <= len(messages) <= MAX_OUTCOMES:
        raise InvalidRequestError(f"{len(messages)} outcomes in one call; send 1 to {MAX_OUTCOMES}")
    return [_outcome(message, position, now_ns) for position, message in enumerate(messages)]


def _outcome(message: prediction_pb2.Outcome, position: int, now_ns: int) -> Outcome:
    """Raise InvalidRequestError naming the outcome when it cannot be stored."""
    name = f"outcome {position} (request_id {message.request_id[:128]!a})"
    if not is_request_id(message.request_id):
        raise InvalidRequestError(f"{name}: send a request_id of 1 to 128 visible ASCII characters")
    if message.label not in (0, 1):
        raise InvalidRequestError(f"{name}: label is {message.label:g}; send 1 or 0")
    value = message.value if message.HasField("value") else None
    if value is not None and not math.isfinite(value):
        raise InvalidRequestError(f"{name}: value is {value}; send a finite number, or leave it out")
    observed_ns = now_ns
    if message.HasField("observed_time"):
        observed_ns = to_nanoseconds(message.observed_time, f"{name}: observed_time")
    return Outcome(message.request_id, message.label, value, observed_ns)
