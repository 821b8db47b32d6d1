"""Which requests the log keeps, where it does not keep all."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BYTES = 8


def is_kept(request_ids: NDArray[np.bytes_], share: float) -> NDArray[np.bool_]:
    """Whether each request is in the share that is kept; the same on every machine and for every repeat.

    share: 0 to 1. A request that is kept at some share is kept at every greater one.

    >>> is_kept(np.array([b"d", b"e", b"f", b"g"]), 0.5).tolist()
    [True, True, False, False]
    """
    ids: list[bytes] = request_ids.tolist()
    hashes = b"".join(blake2b(request_id, digest_size=_BYTES).digest() for request_id in ids)
    return np.frombuffer(hashes, "<u8") < share * 2.0 ** (8 * _BYTES)
