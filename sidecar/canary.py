"""Which calls a canary answers: a part of them, drawn by a hash of the call's id, or of whom it is about.

A call of several rows is drawn as one, because one model answers it: by its id, or by its first row's entity.
`dataplane/src/canary.rs` is the twin of this draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar import draw
from sidecar.errors import BundleError
from sidecar.signature import Kind

if TYPE_CHECKING:
    from sidecar.domain import Canary, ModelId
    from sidecar.signature import Blocks

_PURPOSE = b"canary\0"
_ENTITY_BYTES = 8  # of an integer: little endian, two's complement

Column = tuple[Kind, int]
"""Where a field is: its kind, and its column in that kind's block."""


@dataclass(frozen=True, slots=True)
class Draw:
    """A draw over calls.

    share: 0 to 1. by: the column of the entity, None for the call's id. salt: the canary's digest, so that it
    is not the same entities that every canary is tried out on.
    """

    share: float
    by: Column | None
    salt: str

    def takes(self, request_id: str, blocks: Blocks) -> bool:
        """Whether the canary answers the call; blocks: its rows, at least one.

        Where the entity is missing, the id is drawn, lest all that name nobody go the same way.
        """
        entity = b"" if self.by is None else _entity(self.by, blocks)
        if entity:
            return is_entity_drawn(entity, self.share, self.salt)
        return is_drawn(request_id, self.share)


def is_drawn(request_id: str, share: float) -> bool:
    """Whether the canary answers the call with this id; share: 0 to 1.

    >>> [is_drawn(name, 0.25) for name in "abcdefgh"]
    [False, False, True, False, False, True, True, False]
    """
    return draw.is_drawn(_PURPOSE, request_id.encode(), share)


def is_entity_drawn(entity: bytes, share: float, salt: str) -> bool:
    """Whether the canary answers calls about this entity.

    entity: a text as UTF-8, an integer as eight bytes; salt: see `Draw`.

    >>> [is_entity_drawn(name.encode(), 0.5, "f00d") for name in "abcdefgh"]
    [False, False, True, False, True, False, False, False]
    """
    return draw.is_drawn(_PURPOSE + salt.encode() + b"\0", entity, share)


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


def check_draw(canary: Canary, column: Column | None) -> Draw:
    """What a canary draws by; column: of its field `by` in the signature, None where there is no such field.

    Raises BundleError for a field that is absent or a number, which has no equals.
    """
    if canary.by is not None and (column is None or column[0] is Kind.NUMBER):
        raise BundleError(
            f"the calls of canary {canary.ref.model} would be drawn by '{canary.by}', which is not a text or "
            "integer field of the signature; name one, or draw by the calls' ids"
        )
    return Draw(canary.share, column if canary.by is not None else None, canary.ref.model.digest)


def _entity(column: Column, blocks: Blocks) -> bytes:
    kind, place = column
    if kind is Kind.INTEGER:
        return int(blocks.integers[0, place]).to_bytes(_ENTITY_BYTES, "little", signed=True)
    text: str = blocks.texts[0, place]
    return text.encode()
