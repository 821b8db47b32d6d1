"""Which calls a canary answers: a part of them, drawn by a hash of the call's id.

A call of several rows is drawn as one. `dataplane/src/canary.rs` is the twin of this draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar import draw
from sidecar.errors import BundleError

if TYPE_CHECKING:
    from sidecar.domain import ModelId

_PURPOSE = b"canary\0"


def is_drawn(request_id: str, share: float) -> bool:
    """Whether the canary answers the call with this id; share: 0 to 1.

    >>> [is_drawn(name, 0.25) for name in "abcdefgh"]
    [False, False, True, False, False, True, True, False]
    """
    return draw.is_drawn(_PURPOSE, request_id, share)


def check_fields(canary: tuple[ModelId, str], champion: tuple[ModelId, str]) -> None:
    """Refuse a canary that takes other fields, for a call is decoded before it is drawn.

    Each is a model and its signature's digest. Raises BundleError naming both models.
    """
    (canary_model, its_digest), (champion_model, digest) = canary, champion
    if its_digest != digest:
        raise BundleError(
            f"the canary {canary_model} has signature {its_digest[:8]}, the champion {champion_model} has "
            f"{digest[:8]}; only a model with the champion's fields can answer its calls"
        )
