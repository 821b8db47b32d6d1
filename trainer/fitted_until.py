"""What a version may know by heart: the newest event that it can have been fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecar.bundle import Bundle
    from sidecar.lifecycle import Version


def fitted_until_ns(bundle: Bundle) -> int | None:
    """The newest event that it was fitted on; None where its manifest does not say."""
    training = bundle.manifest.get("training")
    return int(training["last_event_ns"]) if training else None


def may_know_until_ns(bundle: Bundle, version: Version) -> int:
    """The same, or where nobody says it the moment of registration, after which nothing can be known to it.

    Live, that costs a version nothing. Where old traffic is replayed it may know all of it, and none of that
    is evidence.
    """
    declared_ns = fitted_until_ns(bundle)
    return version.registered_ns if declared_ns is None else declared_ns
