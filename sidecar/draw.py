"""Draws a share of the requests by a hash of a key: the same on every machine and for every repeat.

What is drawn at one share is drawn at every greater one. `dataplane/src/draw.rs` is its twin, to the bit.
"""

from __future__ import annotations

from hashlib import blake2b

_BYTES = 8
TICKETS = 2.0 ** (8 * _BYTES)
"""How many tickets there are; the lowest `share` of them are drawn."""


def ticket(purpose: bytes, key: bytes) -> bytes:
    """The number of a key, little endian. purpose: what it is drawn for; each has draws of its own."""
    return blake2b(purpose + key, digest_size=_BYTES).digest()


def is_drawn(purpose: bytes, key: bytes, share: float) -> bool:
    """Whether the key is in this share, 0 to 1."""
    return float(int.from_bytes(ticket(purpose, key), "little")) < share * TICKETS
