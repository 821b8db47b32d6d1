"""One text for equal data, and its digest: what tells signatures, costs, policies and evidence apart."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(data: Any) -> str:
    """Sorted keys, no white space, shortest figures that read back equal.

    Raises ValueError for NaN and infinities, which JSON cannot say.
    """
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def json_digest(data: Any) -> str:
    """SHA-256 in hex of the canonical JSON of `data`."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()
