"""A new champion every second, through the registry and the admin API."""

from __future__ import annotations

import threading
import time
from itertools import count
from typing import TYPE_CHECKING, Self

import grpc

from benchmarks.lineup import WHY, bundle
from sidecar.bundle import FILES, MANIFEST, Bundle, write_bundle
from sidecar.registry import ModelState, Registry
from sidecar.v1 import admin_pb2, admin_pb2_grpc

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.servers import Running

SWAP_SECONDS = 1.0
_DEPLOY_SECONDS = 60.0
_MODELS = ("1", "2")


class Swaps:
    """While its context lasts, promotes a new version every second, and waits until it serves.

    A version becomes champion once, so each is a new one: two models in turn, under a new name. done: how
    many serve or served. errors: what kept others from it.
    """

    def __init__(self, running: Running) -> None:
        self.done = 0
        self.errors: list[str] = []
        self._home = running.folder / "home"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="swaps")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        start = time.monotonic()
        with (
            grpc.insecure_channel(admin_target(self._home)) as channel,
            Registry(self._home / "registry.db") as registry,
        ):
            admin = admin_stub(channel)
            for number in count(1):
                try:
                    self._swap(registry, admin, number)
                except Exception as error:  # noqa: BLE001 - whatever it was, it is a swap that failed
                    self.errors.append(f"{type(error).__name__}: {error}")
                if self._stop.wait(max(0.0, start + number * SWAP_SECONDS - time.monotonic())):
                    return

    def _swap(self, registry: Registry, admin: admin_pb2_grpc.AdminServiceStub, number: int) -> None:
        made = _renamed(bundle(_MODELS[number % 2]), self._home / "bundles", f"soak-{number}")
        digest = registry.register(made, WHY).model.digest
        registry.move(digest, expected=ModelState.REGISTERED, to=ModelState.ADMITTED, reason=WHY)
        reason = admin_pb2.Reason(actor=WHY.actor, why=WHY.why)
        admin.Promote(admin_pb2.PromoteRequest(digest=digest, reason=reason), timeout=_DEPLOY_SECONDS)
        self.done += 1


def admin_target(home: Path) -> str:
    """Where the sidecar of this home listens for its operators."""
    return f"unix:{home / 'admin.sock'}"


def admin_stub(channel: grpc.Channel) -> admin_pb2_grpc.AdminServiceStub:
    """The admin service's client."""
    return admin_pb2_grpc.AdminServiceStub(channel)  # type: ignore[no-untyped-call]


def _renamed(original: Bundle, root: Path, version: str) -> Bundle:
    """Write the same model as another version below `root`."""
    files = {name: (original.path / name).read_bytes() for name in FILES - {MANIFEST}}
    return write_bundle(
        root,
        name=original.model.name,
        version=version,
        signature=original.signature,
        feature_names=original.feature_names,
        files=files,
        facts={"made_by": "benchmarks"},
    )
