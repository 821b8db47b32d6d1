"""The Python client: predictions and outcomes, synchronous and asynchronous.

    with Client("/run/app/sidecar.sock") as client:
        reply = client.predict({"distance": 733.0, "carrier": "UA"})
        client.record_outcome(reply.request_id, label=1)

A target is "unix:/path/to/socket", a plain path to a socket, or "host:port". Every error that a call can end
with is a `CallError`; a value that no message can carry is an InvalidRequestError before anything is sent.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import grpc

from sidecar.client_messages import (
    PredictionReply,
    Record,
    Timings,
    client_metadata,
    outcome_message,
    outcome_messages,
    read_receipt,
    read_reply,
    request_message,
)
from sidecar.errors import SidecarError
from sidecar.retry_info import retry_after
from sidecar.v1 import prediction_pb2, prediction_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
    from types import TracebackType

    from sidecar.domain import Outcome, OutcomeReceipt
    from sidecar.signature import FieldValue

__all__ = ["AsyncClient", "CallError", "Client", "PredictionReply", "Record", "Timings"]

DEADLINE_SECONDS = 1.0
STREAM_WINDOW = 64
"""Records of `predict_many` that are sent ahead of their replies."""

_STATUS_POLLS, _STATUS_POLL_SECONDS = 100, 0.01

_OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # the sidecar is next door
    ("grpc.initial_reconnect_backoff_ms", 50),  # and back in moments after a restart
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class CallError(SidecarError):
    """A call ended with an error. status: the gRPC status; the message is the server's.

    retry_after: the seconds that the server asks to wait for before another try; None when it does not.
    """

    def __init__(self, status: grpc.StatusCode, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after

    def __repr__(self) -> str:
        return f"CallError({self.status.name}, {str(self)!r})"


class Client:
    """Calls one sidecar; may be shared by threads. Use it as a context manager, or call `close`.

    deadline: seconds for each call that does not bring its own. client: what calls, and its version, such as
    "checkout/1.4.2": 1 to 64 visible ASCII characters. It is logged with each row, and says whose rows an
    audit finds wrong.
    """

    def __init__(self, target: str | Path, *, deadline: float = DEADLINE_SECONDS, client: str = "") -> None:
        self.target = _address(target)
        self.deadline = deadline
        self._metadata = client_metadata(client)
        self._channel = grpc.insecure_channel(self.target, _OPTIONS)
        self._stub = _stub(self._channel)

    def __repr__(self) -> str:
        return f"<Client {self.target}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls in progress are cancelled."""
        self._channel.close()

    def predict(
        self,
        fields: Mapping[str, FieldValue],
        *,
        request_id: str = "",
        event_ns: int | None = None,
        deadline: float | None = None,
    ) -> PredictionReply:
        """Score one record: every field of the signature by name, None for missing.

        request_id: your key for the prediction; the sidecar makes one when empty. event_ns: when the event
        happened, in nanoseconds since the Unix epoch; now when None. deadline: seconds.
        """
        request = request_message(Record(fields, request_id, event_ns))
        with _call_errors():
            return read_reply(
                self._stub.Predict(request, timeout=self._timeout(deadline), metadata=self._metadata)
            )

    def predict_many(
        self, records: Iterable[Record | Mapping[str, FieldValue]], *, deadline: float | None = None
    ) -> Iterator[PredictionReply]:
        """Score records over one stream; replies come in the order of the records.

        STREAM_WINDOW records are sent ahead of their replies: `records` may be endless, but where they come
        slowly, so do the replies to those before them. A record
        that `predict` would refuse ends the stream with CallError, after the replies to the records ahead of
        it. deadline: seconds for the whole stream, none by default.
        """
        # The queue carries requests to gRPC's sending thread; None ends them.
        requests: queue.SimpleQueue[prediction_pb2.PredictRequest | None] = queue.SimpleQueue()
        with _call_errors():
            replies = self._stub.PredictStream(
                iter(requests.get, None), timeout=deadline, metadata=self._metadata
            )
        waiting = 0
        try:
            for record in records:
                requests.put(request_message(record))
                waiting += 1
                if waiting == STREAM_WINDOW:
                    yield self._next(replies)
                    waiting -= 1
            requests.put(None)
            for _ in range(waiting):
                yield self._next(replies)
        finally:
            requests.put(None)
            replies.cancel()

    def record_outcome(
        self, request_id: str, label: float, value: float | None = None, observed_ns: int | None = None
    ) -> OutcomeReceipt:
        """Report what really happened after a prediction; returns once it is stored.

        label: 1 or 0. value: money it moved. observed_ns: when it became known; the time of arrival when
        None. A repetition counts as of the first time in any case; with it, it is also not stored again.
        """
        return self._record([outcome_message(request_id, label, value, observed_ns)], None)

    def record_outcomes(
        self, outcomes: Iterable[Outcome], *, deadline: float | None = None
    ) -> OutcomeReceipt:
        """Report 1 to 10,000 outcomes, which are stored together or not at all."""
        return self._record(outcome_messages(outcomes), deadline)

    def _record(self, messages: list[prediction_pb2.Outcome], deadline: float | None) -> OutcomeReceipt:
        request = prediction_pb2.RecordOutcomeRequest(outcomes=messages)
        with _call_errors():
            return read_receipt(self._stub.RecordOutcome(request, timeout=self._timeout(deadline)))

    def _timeout(self, deadline: float | None) -> float:
        return self.deadline if deadline is None else deadline

    @staticmethod
    def _next(replies: Iterator[prediction_pb2.PredictResponse]) -> PredictionReply:
        with _call_errors():
            reply = next(replies, None)
        if reply is None:
            raise _ended_early()
        return read_reply(reply)


class AsyncClient:
    """`Client` for asyncio: the same methods, awaited. Make it inside a running event loop."""

    def __init__(self, target: str | Path, *, deadline: float = DEADLINE_SECONDS, client: str = "") -> None:
        self.target = _address(target)
        self.deadline = deadline
        self._metadata = client_metadata(client)
        self._channel = grpc.aio.insecure_channel(self.target, _OPTIONS)
        self._stub = _stub(self._channel)

    def __repr__(self) -> str:
        return f"<AsyncClient {self.target}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls in progress are cancelled."""
        await self._channel.close(None)

    async def predict(
        self,
        fields: Mapping[str, FieldValue],
        *,
        request_id: str = "",
        event_ns: int | None = None,
        deadline: float | None = None,
    ) -> PredictionReply:
        """Score one record; see `Client.predict`."""
        request = request_message(Record(fields, request_id, event_ns))
        with _call_errors():
            return read_reply(
                await self._stub.Predict(request, timeout=self._timeout(deadline), metadata=self._metadata)
            )

    async def predict_many(
        self,
        records: Iterable[Record | Mapping[str, FieldValue]]
        | AsyncIterable[Record | Mapping[str, FieldValue]],
        *,
        deadline: float | None = None,
    ) -> AsyncIterator[PredictionReply]:
        """Score records over one stream; see `Client.predict_many`."""
        call = self._stub.PredictStream(timeout=deadline, metadata=self._metadata)
        replies = aiter(call)
        waiting = 0
        try:
            async for record in _asynchronous(records):
                waiting += 1
                if not await _send(call, request_message(record)):
                    break  # the stream has ended: the replies it still holds come first, then the reason
                if waiting == STREAM_WINDOW:
                    yield await self._next(call, replies)
                    waiting -= 1
            else:
                with suppress(grpc.aio.InternalError):  # the stream has ended meanwhile, as above
                    await call.done_writing()
            for _ in range(waiting):
                yield await self._next(call, replies)
        finally:
            call.cancel()

    async def record_outcome(
        self, request_id: str, label: float, value: float | None = None, observed_ns: int | None = None
    ) -> OutcomeReceipt:
        """Report what really happened; see `Client.record_outcome`."""
        return await self._record([outcome_message(request_id, label, value, observed_ns)], None)

    async def record_outcomes(
        self, outcomes: Iterable[Outcome], *, deadline: float | None = None
    ) -> OutcomeReceipt:
        """Report many outcomes; see `Client.record_outcomes`."""
        return await self._record(outcome_messages(outcomes), deadline)

    async def _record(self, messages: list[prediction_pb2.Outcome], deadline: float | None) -> OutcomeReceipt:
        request = prediction_pb2.RecordOutcomeRequest(outcomes=messages)
        with _call_errors():
            return read_receipt(await self._stub.RecordOutcome(request, timeout=self._timeout(deadline)))

    def _timeout(self, deadline: float | None) -> float:
        return self.deadline if deadline is None else deadline

    @staticmethod
    async def _next(call: Any, replies: AsyncIterator[prediction_pb2.PredictResponse]) -> PredictionReply:
        try:
            reply = await anext(replies, None)
        except grpc.RpcError:
            raise await _reason(call) from None
        if reply is None:
            raise _ended_early()
        return read_reply(reply)


def _stub(channel: grpc.Channel | grpc.aio.Channel) -> Any:
    return prediction_pb2_grpc.PredictionServiceStub(channel)  # type: ignore[no-untyped-call]  # generated


def _address(target: str | Path) -> str:
    text = str(target)
    if text.startswith("unix:") or ("/" not in text and ":" in text):
        return text
    return f"unix:{quote(str(Path(text).absolute()))}"  # gRPC decodes percent signs in a target


@contextmanager
def _call_errors() -> Iterator[None]:
    """Translate gRPC's errors; the one place where the client meets them."""
    try:
        yield
    except grpc.RpcError as error:
        call: Any = error  # every RpcError that a call raises has these methods
        said = call.details() or call.code().name
        raise CallError(call.code(), said, retry_after(call.trailing_metadata())) from None


def _ended_early() -> CallError:
    return CallError(grpc.StatusCode.UNAVAILABLE, "the sidecar ended the stream before its last reply")


async def _send(call: Any, request: prediction_pb2.PredictRequest) -> bool:
    """Send one request on a stream; False when the stream has ended."""
    try:
        await call.write(request)
    except (grpc.RpcError, asyncio.InvalidStateError):
        return False
    return True


async def _reason(call: Any) -> CallError:
    """Say why a stream ended.

    When a write met the end first, grpc.aio makes up a status of its own, which the server's replaces within
    moments of the last reply.
    """
    for _ in range(_STATUS_POLLS):
        if await call.details() != "Internal error from Core":
            break
        await asyncio.sleep(_STATUS_POLL_SECONDS)
    status = await call.code()
    said = await call.details() or status.name
    return CallError(status, said, retry_after(await call.trailing_metadata()))


async def _asynchronous(records: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(records, AsyncIterable):
        async for record in records:
            yield record
    else:
        for record in records:
            yield record
