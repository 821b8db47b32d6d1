"""Where calls enter the Python engine: the limit on calls in flight, and errors as gRPC status.

The services raise; only this file knows how that looks on the wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from sidecar.client_version import client_version
from sidecar.engine.contract import REFUSE_SECONDS
from sidecar.errors import (
    DeadlineError,
    InvalidRequestError,
    OverloadedError,
    SidecarError,
    UnavailableError,
    detail_of,
    status_of,
)
from sidecar.retry_info import retry_trailer

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping

    # Any: the stubs know the synchronous form of a handler only.
    Handler = Any
    Context = grpc.aio.ServicerContext[Any, Any]
    Decode = Callable[[bytes], Any]

_log = logging.getLogger(__name__)


class Edge(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs only
    """Serves the methods of the services that are added to it.

    Takes the place of the server in the generated `add_..._to_server`, so that those methods, and no
    others (health and reflection always answer), pass the limit. They get the caller's client version where
    gRPC would give them its context. Methods are looked up here rather than
    registered with gRPC's core, whose loop pays for every registered method on every call.
    """

    def __init__(self, max_in_flight: int) -> None:
        self.errors: Counter[str] = Counter()
        """Calls that ended with an error, by status name."""
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._methods: dict[str, Handler] = {}
        self._leaving = False
        self._idle = asyncio.Event()
        self._refusal = grpc.stream_stream_rpc_method_handler(self._refuse)

    def __repr__(self) -> str:
        return f"<Edge {self._in_flight}/{self._max_in_flight} calls, {len(self._methods)} methods>"

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler[Any, Any]]) -> None:
        """Nothing: the generated code hands the same methods over by name right after."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Serve these methods of `service`."""
        for name, handler in handlers.items():
            wrap = self._streaming if handler.request_streaming else self._unary
            self._methods[f"/{service}/{name}"] = wrap(handler)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Find what answers a call; gRPC asks in the call's own task, before it reads the request."""
        handler = self._methods.get(handler_call_details.method)
        if handler is None:
            return None
        if self._leaving or self._in_flight >= self._max_in_flight:
            return self._refusal
        task = asyncio.current_task()
        assert task is not None, "gRPC looks methods up inside a task"
        self._in_flight += 1
        task.add_done_callback(self._ended)
        return handler

    async def leave(self, seconds: float) -> float:
        """Refuse new calls, and wait until those in flight have ended, `seconds` at most; say what is left.

        A server that is stopped answers a call that arrives meanwhile with CANCELLED, which no caller takes
        for a reason to try again; so calls are refused for a moment even when none is in flight.
        """
        self._leaving = True
        loop = asyncio.get_running_loop()
        start = loop.time()
        await asyncio.sleep(min(REFUSE_SECONDS, seconds))
        if self._in_flight:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), start + seconds - loop.time())
        return max(0.0, seconds - (loop.time() - start))

    def _ended(self, _: asyncio.Task[Any]) -> None:
        self._in_flight -= 1
        if self._leaving and not self._in_flight:
            self._idle.set()

    def _unary(self, handler: Handler) -> Handler:
        answer, decode = handler.unary_unary, handler.request_deserializer

        async def call(raw: bytes, context: Context) -> Any:
            try:
                _check_deadline(context)
                client = client_version(context.invocation_metadata() or ())
                return await answer(_decoded(decode, raw), client)
            except Exception as error:  # noqa: BLE001 - this is the place where errors become status
                await self._abort(context, error)

        return grpc.unary_unary_rpc_method_handler(call, response_serializer=handler.response_serializer)

    def _streaming(self, handler: Handler) -> Handler:
        answer, decode = handler.stream_stream, handler.request_deserializer

        async def call(raws: AsyncIterable[bytes], context: Context) -> AsyncIterator[Any]:
            try:
                _check_deadline(context)
                client = client_version(context.invocation_metadata() or ())
                async for reply in answer((_decoded(decode, raw) async for raw in raws), client):
                    yield reply
            except grpc.aio.BaseError:  # the connection is gone, and with it whoever would read a status
                raise
            except Exception as error:  # noqa: BLE001 - see above
                await self._abort(context, error)

        return grpc.stream_stream_rpc_method_handler(call, response_serializer=handler.response_serializer)

    async def _refuse(self, _: AsyncIterable[bytes], context: Context) -> None:
        if self._leaving:
            await self._abort(
                context, UnavailableError("the sidecar is stopping; nothing was done, send again")
            )
        await self._abort(
            context,
            OverloadedError(f"{self._max_in_flight} calls are in flight, the limit; retry with back-off"),
        )

    async def _abort(self, context: Context, error: Exception) -> NoReturn:
        if not isinstance(error, SidecarError):
            _log.error("a call failed unexpectedly", exc_info=error)
        status = status_of(error)
        self.errors[status.name] += 1
        detail = detail_of(error)
        trailers = (retry_trailer(status, detail),) if isinstance(error, OverloadedError) else ()
        await context.abort(status, detail, trailers)


def _check_deadline(context: Context) -> None:
    remaining = context.time_remaining()
    if remaining is not None and remaining <= 0:
        raise DeadlineError("the deadline had passed before the work began; nothing was done")


def _decoded(decode: Decode, raw: bytes) -> Any:
    try:
        return decode(raw)
    except DecodeError:
        raise InvalidRequestError("the request is not the message that this method takes") from None
