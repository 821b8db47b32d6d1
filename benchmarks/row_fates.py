"""What became of the rows that the sidecar answered: figures of one that loses rows must say so."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from sidecar.v1 import admin_pb2, admin_pb2_grpc

if TYPE_CHECKING:
    from benchmarks.servers import Running

_SETTLE_SECONDS = 20.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Fates:
    """Rows since the start: answered, in the log, dropped at the ring; scored by candidates, and shed."""

    served: int
    written: int
    dropped: int
    scored: int
    shed: int

    def since(self, before: Fates) -> dict[str, int]:
        """What was added, as results keep it."""
        return {
            name: getattr(self, name) - getattr(before, name)
            for name in ("served", "written", "dropped", "scored", "shed")
        }


def row_fates(running: Running) -> Fates | None:
    """Wait until nothing waits for the recorder, and count. None for a server that records nothing."""
    if running.uds is None:
        return None
    admin = f"unix:{running.uds.parent / 'admin.sock'}"
    deadline = time.monotonic() + _SETTLE_SECONDS
    with grpc.insecure_channel(admin, options=(("grpc.enable_http_proxy", 0),)) as channel:
        stub = admin_pb2_grpc.AdminServiceStub(channel)  # type: ignore[no-untyped-call]
        while True:
            found = stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=10, wait_for_ready=True)
            settled = found.served == found.written + found.dropped + found.failed
            idle = all(shadow.queued == 0 for shadow in found.shadows)
            candidates = [shadow for shadow in found.shadows if shadow.role == "candidate"]
            if (settled and idle) or time.monotonic() > deadline:
                return Fates(
                    served=found.served,
                    written=found.written,
                    dropped=found.dropped,
                    scored=sum(shadow.scored for shadow in candidates),
                    shed=sum(shadow.shed for shadow in candidates),
                )
            time.sleep(_POLL_SECONDS)
