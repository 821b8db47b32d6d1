"""Pushes the flights through a running sidecar at a steady rate, as their applications would have.

Open loop: each request has its time to be sent, whatever became of those before it, and its latency counts
from that time. So a stall of the server shows in every request that fell due during it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from sidecar.client import AsyncClient, CallError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from traffic import Request, Tick, Traffic

MAX_IN_FLIGHT = 128
"""Below the sidecar's own limit; reached only when it stalls, and then the wait counts as latency."""
DEADLINE_SECONDS = 10.0


class Answer(NamedTuple):
    """A reply to check afterwards: which request, which model said it made it, and its score."""

    request: Request
    digest: str
    score: float


@dataclass
class Tally:
    """What came of a stretch of traffic.

    errors: calls by gRPC status. latency_us: one for each answered request, from the time it was due.
    answers: kept only when asked for.
    """

    sent: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    outcomes: int = 0
    seconds: float = 0.0
    latency_us: list[float] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    def __str__(self) -> str:
        p50, p99 = np.percentile(self.latency_us, [50, 99]) if self.latency_us else (np.nan, np.nan)
        failed = sum(self.errors.values())
        return (
            f"{self.sent:,} requests in {self.seconds:.0f} s ({self.sent / max(self.seconds, 1e-9):,.0f}/s), "
            f"{failed:,} failed; from due to answered p50 {p50 / 1e3:.1f} ms, p99 {p99 / 1e3:.1f} ms; "
            f"{self.outcomes:,} outcomes reported"
        )


class Replay:
    """Replays `traffic` against one sidecar. Use it as an async context manager."""

    def __init__(self, target: str | Path, traffic: Traffic, rate: float) -> None:
        self._traffic = traffic
        self.rate = rate
        """Requests a second; may be changed between two stretches."""
        self._client = AsyncClient(target, deadline=DEADLINE_SECONDS)
        self._admission = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    @property
    def now_ns(self) -> int:
        """What happened before this moment has been replayed."""
        return self._traffic.now_ns

    async def until(
        self,
        until_ns: int,
        *,
        progress: Callable[[int], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
        keep_answers: bool = False,
    ) -> Tally:
        """Go on to `until_ns` on the traffic's clock, or until `stop` says so.

        progress: told how many requests have been sent, after each tick.
        """
        tally = Tally()
        began = due = time.perf_counter()
        async with asyncio.TaskGroup() as calls:
            for tick in self._traffic.until(until_ns):
                await self._report(tick, tally)
                for request in tick.requests:
                    due += 1 / self.rate
                    if due - time.perf_counter() > 0:
                        await asyncio.sleep(due - time.perf_counter())
                    await self._admission.acquire()
                    calls.create_task(self._predict(request, due, tally, keep_answers))
                progress(tally.sent)
                if stop():
                    break
        tally.seconds = time.perf_counter() - began
        return tally

    async def _predict(self, request: Request, due: float, tally: Tally, keep: bool) -> None:
        tally.sent += 1
        try:
            reply = await self._client.predict(
                request.fields, request_id=request.request_id, event_ns=request.event_ns
            )
        except CallError as error:
            tally.errors[error.status.name] += 1
            return
        finally:
            self._admission.release()
        tally.latency_us.append((time.perf_counter() - due) * 1e6)
        tally.models[str(reply.model)] += 1
        if keep:
            tally.answers.append(Answer(request, reply.model.digest, reply.score))

    async def _report(self, tick: Tick, tally: Tally) -> None:
        if tick.outcomes:
            await self._client.record_outcomes(tick.outcomes)
            tally.outcomes += len(tick.outcomes)
