"""What can go wrong on purpose in the trainer, beside what `sidecar.errors` has."""

from __future__ import annotations

from sidecar.errors import SidecarError


class ExportError(SidecarError):
    """A recipe cannot be fitted or exported exactly; the message names the part and what to use instead."""


def first_line(error: Exception) -> str:
    """What a library's error says, where it says more than fits a line."""
    return str(error).strip().split("\n", 1)[0]
