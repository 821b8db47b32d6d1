"""Concurrent callers of a running sidecar, each on a connection of its own, until told to stop."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from sidecar_process import wait_until

from sidecar.client import CallError, Client, PredictionReply, Record


class Answer(NamedTuple):
    """A reply to the record `number` of a caller, received at `at` on the monotonic clock."""

    number: int
    reply: PredictionReply
    at: float


class Caller:
    """Sends `make(0)`, `make(1)`, ... one by one or over one stream; ends at its first error."""

    def __init__(self, target: str, make: Callable[[int], Record], *, stream: bool, pause_seconds: float):
        self.sent = 0
        self.answers: list[Answer] = []
        self.error: CallError | None = None
        self._target = target
        self._make = make
        self._stream = stream
        self._pause_seconds = pause_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self):
        self._thread.start()

    def stop(self):
        self._stop.set()

    def join(self):
        self._thread.join()

    def _run(self):
        with Client(self._target, deadline=60) as client:
            replies = (
                client.predict_many(self._records(), deadline=250)
                if self._stream
                else self._one_by_one(client)
            )
            try:
                for number, reply in enumerate(replies):
                    self.answers.append(Answer(number, reply, time.monotonic()))
            except CallError as error:
                self.error = error

    def _records(self):
        while not self._stop.wait(self._pause_seconds):
            self.sent += 1
            yield self._make(self.sent - 1)

    def _one_by_one(self, client):
        for record in self._records():
            yield client.predict(record.fields, request_id=record.request_id, event_ns=record.event_ns)


class Load:
    """Two callers of Predict and one of PredictStream while the context lasts; all that was sent is answered.

    make: the record to send, from the caller's number (0 to 2) and the record's.
    """

    def __init__(self, target: str, make: Callable[[int, int], Record], pause_seconds: float = 0.001):
        self.callers = [
            Caller(
                target,
                lambda number, caller=caller: make(caller, number),
                stream=caller == 2,
                pause_seconds=pause_seconds,
            )
            for caller in range(3)
        ]

    def __enter__(self):
        for caller in self.callers:
            caller.start()
        return self

    def __exit__(self, *_):
        for caller in self.callers:
            caller.stop()
        for caller in self.callers:
            caller.join()

    def wait_for(self, answers: int) -> None:
        """Until every caller has had so many more answers. Raises the error that ends one of them."""
        wanted = self.least_answers + answers
        wait_until(lambda: self.errors or self.least_answers >= wanted)
        if self.errors:
            raise self.errors[0]

    @property
    def answers(self) -> list[Answer]:
        """All callers' answers; in order for each caller."""
        return [answer for caller in self.callers for answer in list(caller.answers)]

    @property
    def errors(self) -> list[CallError]:
        """What ended callers before they were told to stop."""
        return [caller.error for caller in self.callers if caller.error]

    @property
    def least_answers(self) -> int:
        """How many the caller has that has fewest."""
        return min(len(caller.answers) for caller in self.callers)
