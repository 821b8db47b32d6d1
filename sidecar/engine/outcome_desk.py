"""RecordOutcome calls that wait until the recorder has stored what they brought."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import TYPE_CHECKING

from sidecar.domain import OutcomeReceipt
from sidecar.engine.contract import PendingOutcomes
from sidecar.errors import OverloadedError, SidecarError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.domain import Outcome
    from sidecar.engine.ring import Ring

Result = OutcomeReceipt | SidecarError


class OutcomeDesk:
    """Gives each waiting call a ticket, and answers it when its ticket is settled.

    Belongs to the event loop it is made in; only `settle` may be called from another thread.
    """

    def __init__(self, ring: Ring, most: int) -> None:
        self._ring = ring
        self._most = most
        self._unsettled = 0  # also calls that are gone: what they brought is still held
        self._loop = asyncio.get_running_loop()
        self._tickets = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Result]] = {}

    def __repr__(self) -> str:
        return f"<OutcomeDesk {len(self._waiting)} calls wait>"

    async def record(self, outcomes: Sequence[Outcome]) -> OutcomeReceipt:
        """Hand the outcomes to the recorder and wait for its word. Raises what it was settled with.

        Raises OverloadedError when too many calls' outcomes wait for the log: their callers may have given up
        and come again.
        """
        if self._unsettled >= self._most:
            raise OverloadedError(f"{self._most} calls wait for the log, the limit; retry with back-off")
        self._unsettled += 1
        ticket = next(self._tickets)
        future: asyncio.Future[Result] = self._loop.create_future()
        self._waiting[ticket] = future
        self._ring.push_outcomes(PendingOutcomes(ticket, outcomes))
        try:
            result = await future
        finally:
            # Also when the caller has gone: the outcomes are stored all the same, and nobody is told.
            self._waiting.pop(ticket, None)
        if isinstance(result, SidecarError):
            raise result
        return result

    def settle(self, ticket: int, result: Result) -> None:
        """Answer the call with this ticket, if it still waits; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._settled, ticket, result)

    def refuse_all(self, error: SidecarError) -> None:
        """Answer every waiting call with `error`."""
        for ticket in list(self._waiting):
            self._answer(ticket, error)

    def _settled(self, ticket: int, result: Result) -> None:
        self._unsettled -= 1
        self._answer(ticket, result)

    def _answer(self, ticket: int, result: Result) -> None:
        future = self._waiting.get(ticket)
        if future is not None and not future.done():
            future.set_result(result)
