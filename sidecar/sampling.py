"""Which requests the log keeps, where it does not keep all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sidecar.draw import TICKETS, ticket

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PURPOSE = b""


def is_kept(request_ids: NDArray[np.bytes_], share: float) -> NDArray[np.bool_]:
    """Whether each request is in the share that is kept; the same on every machine and for every repeat.

    share: 0 to 1. A request that is kept at some share is kept at every greater one.

    >>> is_kept(np.array([b"d", b"e", b"f", b"g"]), 0.5).tolist()
    [True, True, False, False]
    """
    ids: list[bytes] = request_ids.tolist()
    tickets = b"".join(ticket(_PURPOSE, request_id) for request_id in ids)
    return np.frombuffer(tickets, "<u8") < share * TICKETS
