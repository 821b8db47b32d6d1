"""The request path of model-sidecar, compiled: everything between the socket and the reply.

This is the whole boundary between Python and Rust. Python opens the sockets, loads and swaps models, drains
what was answered and settles outcomes; no Python code runs and no GIL is taken for a request.

Times are nanoseconds, `*_ns` of events since the Unix epoch. Any thread may call any method, unless it says
otherwise.
"""

from collections.abc import Sequence
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

__version__: str
"""The version of this module; `sidecar.engine.choice` says which one it works with."""

class GraphError(Exception):
    """A graph cannot be loaded, or fails on its warm-up row; the message is for whoever deploys it."""

@final
class Runtime:
    """ONNX Runtime, out of the library at this path. Lives as long as a model that it loaded.

    Raises OSError when the library cannot be loaded, or lacks the API that this module uses.
    """

    def __new__(cls, library: str) -> Runtime: ...
    def load(
        self,
        graph: str,
        name: str,
        version: str,
        digest: str,
        signature_digest: str,
        fields: list[tuple[str, str, bool, float | None, float | None, bool]],
        features: int,
        explore: tuple[bool, float],
        warm_up: tuple[list[float], list[int], list[str]],
        runs: int,
    ) -> Loaded:
        """Load the graph at this path and run it `runs` times on the row `warm_up`. Blocks, without the GIL.

        fields: the signature's, in order: name, kind ("number", "integer" or "text"), whether it may be
        missing, its bounds, and whether a value outside them is refused. features: how many the graph gives.
        explore: the action that hides the outcome (True is act), and the share of it that gets the other one.
        warm_up: the row's numbers, integers and texts. Raises GraphError.
        """

@final
class Loaded:
    """A model, loaded and warm; `Runtime.load` makes it. Lives as long as anyone holds it."""

    @property
    def signature_digest(self) -> str:
        """That of the fields it takes, as it was loaded with."""

    def column(self, name: str) -> tuple[str, int] | None:
        """Where the field with this name is: its kind, as `Dataplane.load` names it, and its column."""

    def scorer(self) -> Scorer:
        """Make ready to run it for a shadow. Raises GraphError."""

class ResultColumns(Protocol):
    """Where a scorer leaves what became of a chunk's rows, an entry for each row; there may be more places.

    All can be written, and none shares memory with another.
    """

    @property
    def done(self) -> NDArray[np.int64]:
        """[1]: the rows that are complete; set after each call, when all else about it is written."""

    @property
    def score(self) -> NDArray[np.float32]:
        """NaN where the run failed."""

    @property
    def decision(self) -> NDArray[np.uint8]:
        """1 is act; 0 where the run failed."""

    @property
    def raised(self) -> NDArray[np.uint8]:
        """1 where the run failed."""

    @property
    def infer_ns(self) -> NDArray[np.int64]:
        """Wall-clock time of the inference call that the row was part of; 0 where it failed."""

    @property
    def cpu_ns(self) -> NDArray[np.int64]:
        """The same on the thread's CPU clock."""

    @property
    def detail(self) -> NDArray[np.uint8]:
        """[rows, width]: what a run that failed said, cut or filled with zeros; else anything."""

@final
class Scorer:
    """Runs a model as the data plane does that answers with it: the same code, the same two clocks."""

    def score(
        self,
        numbers: NDArray[np.float32],
        integers: NDArray[np.int64],
        texts: Sequence[tuple[Sequence[str], NDArray[np.int64]]],
        ends: NDArray[np.int64],
        results: ResultColumns,
    ) -> None:
        """Run each inference call by itself, one after another, without the GIL.

        numbers, integers: [rows, fields]. texts: for each text field its values, and which of them each row
        has. ends: for each call, the row after its last one. Nobody may write to an array meanwhile. A run
        that fails is a result. Raises ValueError when the arrays do not fit each other.
        """

@final
class Columns:
    """Rows that one model answered, in the order they were answered, column by column.

    A `bytes` attribute is an array of little-endian numbers: one for each row, or a matrix row by row.
    """

    @property
    def model(self) -> tuple[str, str, str]:
        """The model's name, version and digest."""

    @property
    def request_ids(self) -> tuple[int, bytes]:
        """The rows' keys: how many bytes each has at most, and all of them padded to that with zeros."""

    @property
    def clients(self) -> tuple[list[str], bytes]:
        """The distinct client versions ("" where none was sent), and int32 [rows]: which one sent a row."""

    @property
    def received_ns(self) -> bytes:
        """int64: when the message had arrived."""

    @property
    def event_ns(self) -> bytes:
        """int64: when the event happened, as the caller said; `received_ns` where it did not."""

    @property
    def group(self) -> bytes:
        """int64: equal for rows that ran in one inference call; grows with every call."""

    @property
    def queue_ns(self) -> bytes:
        """int64: from the message's arrival to the start of decoding."""

    @property
    def failed_ns(self) -> bytes:
        """int64: what a canary's runs took that failed before; none where each is 0."""

    @property
    def infer_ns(self) -> bytes:
        """int64: wall-clock time of the inference call that the row was part of."""

    @property
    def cpu_ns(self) -> bytes:
        """int64: the same on the thread's CPU clock."""

    @property
    def numbers(self) -> bytes:
        """float32 [rows, number fields], row by row; NaN is missing."""

    @property
    def integers(self) -> bytes:
        """int64 [rows, integer fields], row by row."""

    @property
    def texts(self) -> list[tuple[list[str], bytes]]:
        """For each text field its distinct values ("" is missing), and int32 [rows]: which one a row has."""

    @property
    def features(self) -> bytes:
        """float32 [rows, features], row by row."""

    @property
    def score(self) -> bytes:
        """float32 [rows]."""

    @property
    def decision(self) -> bytes:
        """uint8 [rows]: what the rule decided; 1 is act."""

    @property
    def propensity(self) -> bytes:
        """float32 [rows]: the chance that the reply takes the action it does; none where each is 1.

        See `sidecar.exploration`.
        """

@final
class Dataplane:
    """One request path: its listeners, threads, models and ring.

    ledger: the path of the counters of `sidecar.ledger`, which are
    written from here on. version: what server metadata tells. event_loops: threads that serve connections.
    max_in_flight, max_message_bytes, max_rows, ring_rows: as in `sidecar.config.Limits`; hand_off_us and
    batch_rows as in `sidecar.config.Native`. services: the names that health and reflection know. files: what
    reflection knows of each .proto file: its name, its serialised FileDescriptorProto, the full names of what
    it declares, and the names of the files it imports.

    Raises OSError when the ledger cannot be opened.
    """

    def __new__(
        cls,
        *,
        ledger: str,
        version: str,
        event_loops: int,
        max_in_flight: int,
        max_message_bytes: int,
        max_rows: int,
        ring_rows: int,
        hand_off_us: int,
        batch_rows: int,
        services: list[str],
        files: list[tuple[str, bytes, list[str], list[str]]],
    ) -> Dataplane: ...
    def start(self, listeners: list[int]) -> None:
        """Serve the connections that arrive at these sockets; once.

        The file descriptors of listening, non-blocking sockets; they belong to the data plane from now on.
        Raises OSError when threads or queues cannot be made.
        """

    def loaded(self, digest: str) -> Loaded | None:
        """The model with this digest, where it answers now, as champion or as canary."""

    def deploy(
        self, champion: Loaded | None, canary: tuple[Loaded, float, tuple[str, int] | None] | None = None
    ) -> None:
        """Have these models answer every call that begins from now on; None for no champion. Health follows.

        canary: a model that takes the same fields, the share of the calls that it answers in the champion's
        place, and the column of the text or integer that they are drawn by, None for their ids; see
        `sidecar.canary`.
        """

    def drain(
        self, max_rows: int, wait_seconds: float
    ) -> tuple[list[Columns], list[tuple[int, list[tuple[str, float, float | None, int]]]]]:
        """Take what waits in the ring, oldest first; by one thread. Waits without the GIL.

        A batch for each model that answered, of `max_rows` together at most (a single call with more rows is
        taken whole), and all RecordOutcome calls that wait: a ticket, and outcomes as request id, label,
        value and `observed_ns`.
        Returns when `wait_seconds` have passed, and earlier when outcomes wait or the ring is half full.
        """

    def settle(self, ticket: int, stored: int, duplicates: int, conflicts: list[str]) -> None:
        """Answer the RecordOutcome call with this ticket; nothing when its caller has gone."""

    def refuse(self, ticket: int, code: int, message: str) -> None:
        """End the RecordOutcome call with this ticket with a gRPC status code."""

    def refuse_outcomes(self, message: str) -> None:
        """End every RecordOutcome call that waits with UNAVAILABLE."""

    def leave(self) -> None:
        """Refuse new calls with UNAVAILABLE, say NOT_SERVING for good, and end the health watches."""

    def in_flight(self) -> int:
        """Calls in progress that count against `max_in_flight`."""

    def stop(self, grace_seconds: float) -> None:
        """Stop listening, give calls in progress the grace, then close all connections and end all threads.

        Blocks, without the GIL. What was answered can still be drained, outcomes can still be settled (nobody
        hears of it), and `stats` still counts.
        """

    def stats(
        self,
    ) -> tuple[int, int, int, tuple[str, int, int, int] | None, dict[str, int], dict[str, bytes]]:
        """Counters since the start.

        Rows answered, rows dropped at a full ring, rows that wait in it; of the canary, if there is one, its
        digest and the counts of `sidecar.engine.contract.CanaryStats`; calls that ended with an error, by the
        name of their gRPC status; and for each stage ("queue", "decode", "infer", "encode") the int64 counts
        of the buckets of `sidecar.engine.histogram`.
        """
