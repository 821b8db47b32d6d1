"""What the Python client sends and gets, and how it looks on the wire."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.client_version import KEY, client_version
from sidecar.domain import ModelId, OutcomeReceipt
from sidecar.errors import InvalidRequestError
from sidecar.timestamp import set_nanoseconds
from sidecar.v1 import prediction_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sidecar.domain import Outcome
    from sidecar.signature import FieldValue


@dataclass(frozen=True, slots=True)
class Record:
    """One record for `predict_many`; the fields have the meaning of `predict`'s parameters."""

    fields: Mapping[str, FieldValue]
    request_id: str = ""
    event_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Timings:
    """Time spent inside the sidecar, in nanoseconds; stages as in the API's StageTimings."""

    queue_ns: int
    decode_ns: int
    infer_ns: int
    encode_ns: int


@dataclass(frozen=True, slots=True)
class PredictionReply:
    """The champion's answer.

    request_id: the key to report the outcome under. decision: what to do. explored: that is the other action
    than the rule's, so that an outcome is seen which the rule's own would have hidden.
    """

    request_id: str
    score: float
    decision: bool
    explored: bool
    model: ModelId
    timings: Timings


def client_metadata(client: str) -> tuple[tuple[str, str], ...]:
    """Build every prediction's metadata; raises InvalidRequestError when `client` is no client version."""
    metadata = ((KEY, client),) if client else ()
    client_version(metadata)
    return metadata


def request_message(record: Record | Mapping[str, FieldValue]) -> prediction_pb2.PredictRequest:
    """Build a request; raises InvalidRequestError naming a field whose value no message can carry."""
    if isinstance(record, Mapping):
        record = Record(record)
    request = prediction_pb2.PredictRequest()
    with _named("request_id"):
        request.request_id = record.request_id
    for name, value in record.fields.items():
        with _named(f"field {name!r}"):
            _set_value(request.fields[name], name, value)
    if record.event_ns is not None:
        with _named("event_ns"):
            set_nanoseconds(request.event_time, record.event_ns)
    return request


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Name the part of a message that cannot carry its value: another type, too large, or not Unicode."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"{what}: {error}") from None


def _set_value(message: prediction_pb2.FieldValue, name: str, value: FieldValue) -> None:
    if isinstance(value, bool) or not isinstance(value, str | numbers.Real | None):
        raise InvalidRequestError(
            f"field '{name}' is a {type(value).__name__}; send a number, text or None for missing"
        )
    if value is None:
        message.missing.SetInParent()
    elif isinstance(value, str):
        message.text = value
    elif isinstance(value, numbers.Integral):
        message.integer = int(value)
    else:
        message.number = float(value)


def read_reply(response: prediction_pb2.PredictResponse) -> PredictionReply:
    """Take a response apart."""
    model, timings = response.model, response.timings
    return PredictionReply(
        request_id=response.request_id,
        score=response.score,
        decision=response.decision,
        explored=response.explored,
        model=ModelId(model.name, model.version, model.digest),
        timings=Timings(timings.queue_ns, timings.decode_ns, timings.infer_ns, timings.encode_ns),
    )


def outcome_message(
    request_id: str, label: float, value: float | None, observed_ns: int | None
) -> prediction_pb2.Outcome:
    """Build one outcome; None leaves a field out. Raises InvalidRequestError as `request_message` does."""
    message = prediction_pb2.Outcome()
    with _named(f"outcome of request_id {request_id!r}"):
        message.request_id = request_id
        message.label = float(label)
        if value is not None:
            message.value = float(value)
        if observed_ns is not None:
            set_nanoseconds(message.observed_time, observed_ns)
    return message


def outcome_messages(outcomes: Iterable[Outcome]) -> list[prediction_pb2.Outcome]:
    """Build one message for each outcome."""
    return [outcome_message(each.request_id, each.label, each.value, each.observed_ns) for each in outcomes]


def read_receipt(response: prediction_pb2.RecordOutcomeResponse) -> OutcomeReceipt:
    """Take a response apart."""
    return OutcomeReceipt(response.stored, response.duplicates, tuple(response.conflicts))
