"""What a version may know by heart: the newest event that it can have been fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecar.bundle import Bundle
    from sidecar.lifecycle import Version


def may_know_until_ns(bundle: Bundle, version: Version) -> int:
    """The newest event that it was fitted on; where nobody says it, the moment of registration.

    After that nothing can be known to it.

    Live, that costs a version nothing. Where old traffic is replayed it may know all of it, and none of that
    is evidence.
    """
    declared_ns = bundle.fitted_until_ns
    return version.registered_ns if declared_ns is None else declared_ns
