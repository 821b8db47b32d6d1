"""Which calls a canary answers: a part of them, drawn by a hash of the call's id.

The same call is drawn again when it is repeated, on every machine and in both engines, and what is drawn at
one share is drawn at every greater one. A call of several rows is drawn as one.
"""

from __future__ import annotations

from hashlib import blake2b

_PURPOSE = b"canary\0"
"""Keeps the draw apart from every other hash of a request id."""
_BYTES = 8


def is_drawn(request_id: str, share: float) -> bool:
    """Whether the canary answers the call with this id; share: 0 to 1.

    >>> [is_drawn(name, 0.25) for name in "abcdefgh"]
    [False, False, True, False, False, True, True, False]
    """
    drawn = blake2b(_PURPOSE + request_id.encode(), digest_size=_BYTES).digest()
    return int.from_bytes(drawn, "little") < share * 2.0 ** (8 * _BYTES)
