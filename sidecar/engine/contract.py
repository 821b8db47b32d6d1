"""What an engine is: the request path, and nothing else. One contract test-suite runs against each.

An engine answers the application's calls with the deployed champion, and what `sidecar.canary` draws with its
canary. It never waits for anything behind the reply: answered rows go into a bounded ring that the recorder
drains, and when the ring is full the row is dropped and counted. Outcomes are different: their call replies
only after the recorder has settled it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sidecar.config import Limits, Listeners
    from sidecar.domain import Deployment, Outcome, OutcomeReceipt, ServedBatch
    from sidecar.errors import SidecarError
    from sidecar.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where an engine listens, once started."""

    uds: str
    """Absolute path, or empty."""
    tcp: str
    """host:port with the real port, or empty."""


@dataclass(frozen=True, slots=True)
class PendingOutcomes:
    """One RecordOutcome call that waits to be settled."""

    ticket: int
    outcomes: Sequence[Outcome]


@dataclass(frozen=True, slots=True)
class Drained:
    """What an engine hands to the recorder."""

    served: Sequence[ServedBatch] = ()
    outcomes: Sequence[PendingOutcomes] = ()


REFUSE_SECONDS = 0.1
"""While it stops, an engine refuses new calls for this time at least, even when none is in progress: a caller
that finds nobody to refuse it does not know that it should try again."""
REFUSE_OUTCOMES_AFTER = 0.9
"""The part of the grace after which outcomes still waiting are refused, so that the refusal can travel."""
OUTCOMES_REFUSED = "the sidecar is stopping and may not have stored the outcomes; send them again"

STAGES = ("queue", "decode", "infer", "encode")
"""What an answered message goes through, in order; the same as in the API's StageTimings."""


@dataclass(frozen=True, slots=True)
class StageTimes:
    """How long one stage took, over all answered messages; within 2 % above the true nanoseconds."""

    count: int = 0
    p50_ns: int = 0
    p99_ns: int = 0
    p999_ns: int = 0
    max_ns: int = 0


@dataclass(frozen=True, slots=True)
class CanaryStats:
    """Calls since the canary with this digest answers its present share of them.

    calls: all that might have been drawn, which is not those whose callers name a version. answered: those
    that it answered. failed: those on which it failed, and which the champion answered.
    """

    digest: str
    calls: int = 0
    answered: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Counters since the start. Rows, not calls, except for `errors` (calls by gRPC status name).

    canary: None without one. stages: the times of each of STAGES.
    """

    served: int = 0
    dropped: int = 0
    queued: int = 0
    canary: CanaryStats | None = None
    errors: Mapping[str, int] = field(default_factory=dict)
    stages: Mapping[str, StageTimes] = field(default_factory=dict)


class Engine(Protocol):
    """The request path."""

    name: str
    """"python" or "native"."""
    needs_gil: bool
    """Whether a reply waits for the GIL, and so for any thread that holds it."""

    async def start(self, home: Path, listeners: Listeners, limits: Limits, ledger: Ledger) -> Endpoints:
        """Listen. Until the first deployment, predictions are refused and health says NOT_SERVING.

        Raises ConfigError when a listener cannot be opened.
        """

    async def deploy(self, deployment: Deployment) -> None:
        """Load and warm the champion and the canary, then swap both at once.

        Each call is answered by one model of one deployment. A model that answers already is not loaded anew.
        Raises SidecarError and keeps serving the previous deployment when a model cannot be loaded, or the
        canary has another signature than the champion.
        """

    @property
    def deployment(self) -> Deployment:
        """The deployment in force."""

    def drain(self, max_rows: int, wait_seconds: float) -> Drained:
        """Take what waits for the recorder, oldest first; called by one thread, never by the event loop.

        One batch for each model that answered, its rows in the order they were answered.
        Returns after `wait_seconds` with what there is (perhaps nothing), and earlier as soon as outcomes
        wait or the ring is half full; at once where the drain before left `max_rows` behind.
        """

    def settle(self, ticket: int, result: OutcomeReceipt | SidecarError) -> None:
        """Answer a RecordOutcome call; called by the draining thread."""

    def stats(self) -> EngineStats:
        """Counters now; called by any thread."""

    async def stop(self, grace_seconds: float) -> None:
        """Health says NOT_SERVING, new calls are refused, calls in progress get `grace_seconds`.

        What still waits for the recorder stays drainable.
        """
