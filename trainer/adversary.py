"""Raw rows chosen to break an export: each is a real row with one field set to something nasty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.signature import Blocks, Outside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidecar.signature import Field, Signature

_FAR = 1e30
_BEYOND_FLOAT = 2**24 + 1
"""The first integer that float32 cannot hold."""
_STAMPS = (-1, -86_400, 951_782_400, 4_107_542_400)
"""Epoch seconds: just before 1970, a whole day before, a leap day of 2000, and the day after a leap day that
2100 does not have."""
_TEXTS = ("", "unseen", " ", "a" * 300, "\u00e9\u4e2d\U0001f6eb")


def adversarial_rows(signature: Signature, blocks: Blocks) -> Blocks:
    """At least one row for each field and nasty value that a request may bring.

    Numbers: missing, 0, -0.0, the bounds and both their float neighbours, far out. Integers: 0, the bounds,
    seconds before 1970 and about leap days, both sides of 2^24 and 2^53. Texts: missing, unseen, blank, long,
    not ASCII. The last row has everything missing that may be.
    """
    parts = [_changed(blocks, place, *change) for place, change in enumerate(_changes(signature))]
    every = blocks.take(slice(0, 1))
    everything = Blocks(every.numbers.copy(), every.integers, every.texts.copy())
    for column, field in enumerate(signature.numbers):
        if field.missing_allowed:
            everything.numbers[0, column] = np.nan
    for column, field in enumerate(signature.texts):
        if field.missing_allowed:
            everything.texts[0, column] = ""
    return Blocks.concat([*parts, everything])


def _changes(signature: Signature) -> Iterator[tuple[str, int, Any]]:
    for column, field in enumerate(signature.numbers):
        for number in _numbers(field):
            yield "numbers", column, number
    for column, field in enumerate(signature.integers):
        for integer in _integers(field):
            yield "integers", column, integer
    for column, field in enumerate(signature.texts):
        for text in _TEXTS:
            if text or field.missing_allowed:
                yield "texts", column, text


def _changed(blocks: Blocks, place: int, block: str, column: int, value: Any) -> Blocks:
    start = place % len(blocks)
    row = blocks.take(slice(start, start + 1))
    copy = Blocks(row.numbers.copy(), row.integers.copy(), row.texts.copy())
    getattr(copy, block)[0, column] = value
    return copy


def _numbers(field: Field) -> Iterator[np.float32]:
    if field.missing_allowed:
        yield np.float32(np.nan)
    bounds = [np.float32(bound) for bound in (field.lower, field.upper) if bound is not None]
    infinity = np.float32(np.inf)
    neighbours = [np.nextafter(bound, side) for bound in bounds for side in (infinity, -infinity)]
    for value in (0.0, -0.0, 1e9, -1e9, _FAR, -_FAR, *bounds, *neighbours):
        if field.outside is Outside.MISSING or _within(field, float(value)):
            yield np.float32(value)


def _integers(field: Field) -> Iterator[int]:
    bounds = [int(bound) for bound in (field.lower, field.upper) if bound is not None]
    for value in (0, *_STAMPS, _BEYOND_FLOAT, -_BEYOND_FLOAT, 2**53 + 1, -(2**53) - 1, *bounds):
        if _within(field, value):
            yield value


def _within(field: Field, value: float) -> bool:
    return (field.lower is None or value >= field.lower) and (field.upper is None or value <= field.upper)
