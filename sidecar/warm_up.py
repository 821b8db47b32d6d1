"""The row that a model is warmed with before it serves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sidecar.signature import Kind

if TYPE_CHECKING:
    from sidecar.signature import Blocks, Field, FieldValue, Signature

WARM_UP_RUNS = 20


def warm_up_row(signature: Signature) -> Blocks:
    """A plain row: each field missing where it may be, else 0 (or the bound nearest to it) or "a"."""
    return signature.pack({field.name: _plain_value(field) for field in signature.fields})


def _plain_value(field: Field) -> FieldValue:
    if field.missing_allowed:
        return None
    if field.kind is Kind.TEXT:
        return "a"
    value = min(max(0.0, field.lower or 0.0), math.inf if field.upper is None else field.upper)
    return int(value) if field.kind is Kind.INTEGER else value
