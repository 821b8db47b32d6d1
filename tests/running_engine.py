"""A real engine on a thread of its own, with a thread that drains it as the recorder would."""

import asyncio
import contextlib
import threading
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sidecar.client import CallError, Client
from sidecar.config import Limits, Listeners, Native
from sidecar.domain import Canary, Deployment, OutcomeReceipt, to_texts
from sidecar.engine.choice import NativeUnavailableError, find_native
from sidecar.engine.python import PythonEngine
from sidecar.ledger import Ledger
from sidecar.oip import open_inference_pb2_grpc
from sidecar.v1 import prediction_pb2, prediction_pb2_grpc


def _engines():
    """A maker for each engine that can run here, from the settings in [native]."""
    found = {"python": lambda _: PythonEngine()}
    try:
        library = find_native()
    except NativeUnavailableError:
        return found
    from sidecar.engine.native import NativeEngine  # noqa: PLC0415 - needs the native module

    return found | {"native": lambda settings: NativeEngine(library, settings)}


ENGINES = _engines()
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class RunningEngine:
    def __init__(
        self, home: Path, engine="python", *, listeners=None, limits=None, native=None, champion=None
    ):
        self.home = home
        self.engine = ENGINES[engine](native or Native())
        self.ledger = Ledger.create(home / "ledger")
        self.served = []
        self.outcomes = []
        self._listeners = listeners or Listeners()
        self._limits = limits or Limits()
        self._champion = champion
        self._generation = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine")
        self._recording = threading.Event()
        self._recorder = None

    def __enter__(self):
        self._thread.start()
        try:
            self.endpoints = self.call(
                self.engine.start(self.home, self._listeners, self._limits, self.ledger)
            )
        except BaseException:
            self._end_loop()
            raise
        self._resources = contextlib.ExitStack()
        target = f"unix:{self.endpoints.uds}" if self.endpoints.uds else self.endpoints.tcp
        self.client = self._resources.enter_context(Client(target, deadline=30))
        self.channel = self._resources.enter_context(grpc.insecure_channel(target))
        self.stub = prediction_pb2_grpc.PredictionServiceStub(self.channel)
        self.oip = open_inference_pb2_grpc.GRPCInferenceServiceStub(self.channel)
        if self._champion is not None:
            self.deploy(self._champion)
        self.start_recorder()
        return self

    def __exit__(self, *_):
        self.stop(0)
        self.stop_recorder()
        self._resources.close()
        self._end_loop()
        self.ledger.close()

    def _end_loop(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, coroutine):
        return self.later(coroutine).result(60)

    def later(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def on_loop(self, function, *arguments):
        self._loop.call_soon_threadsafe(function, *arguments)

    def deploy(self, bundle, canary=None, share=0.25, by=None):
        self._generation += 1
        champion = bundle.ref if bundle else None
        drawn = Canary(canary.ref, share, by) if canary else None
        self.call(self.engine.deploy(Deployment(self._generation, champion, canary=drawn)))

    def stop(self, grace):
        self.call(self.engine.stop(grace))

    def start_recorder(self):
        self._recording.set()
        self._recorder = threading.Thread(target=self._record, name="recorder")
        self._recorder.start()

    def stop_recorder(self):
        """Afterwards, the test drains."""
        self._recording.clear()
        if self._recorder is not None:
            self._recorder.join()
            self._recorder = None

    def _record(self):
        while self._recording.is_set():
            drained = self.engine.drain(8192, 0.02)
            self.served += drained.served
            for pending in drained.outcomes:
                self.outcomes += pending.outcomes
                self.engine.settle(pending.ticket, OutcomeReceipt(len(pending.outcomes), 0, ()))

    def recorded(self):
        """All rows served so far, by request id, as (batch, row)."""
        self.stop_recorder()
        while batches := self.engine.drain(8192, 0).served:
            self.served += batches
        self.start_recorder()
        return {
            request_id: (batch, row)
            for batch in self.served
            for row, request_id in enumerate(to_texts(batch.request_ids))
        }

    def health(self, service=""):
        stub = health_pb2_grpc.HealthStub(self.channel)
        return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=30).status


def request(fields, **rest):
    """A PredictRequest as the client would send it; None is sent as missing."""
    message = prediction_pb2.PredictRequest(**rest)
    for name, value in fields.items():
        if value is None:
            message.fields[name].missing.SetInParent()
        elif isinstance(value, str):
            message.fields[name].text = value
        elif isinstance(value, int):
            message.fields[name].integer = value
        else:
            message.fields[name].number = value
    return message


def status_of_call(method, message):
    """The status and the message of a call that must fail."""
    try:
        reply = method(message, timeout=30)
    except grpc.RpcError as error:
        return error.code(), error.details()
    raise AssertionError(f"the call was answered: {reply}")


def failure_of(client, fields, **rest):
    """The CallError that a prediction fails with, None when it is answered."""
    try:
        client.predict(fields, **rest)
    except CallError as error:
        return error
    return None
