"""Who sends a request: the client and its version, in the metadata of the call."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sidecar.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY = "client-version"
_VISIBLE_ASCII = re.compile(r"[!-~]{0,64}")


def client_version(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The client version that a call's metadata names, "" when it names none; the last one of several.

    Raises InvalidRequestError when it is not 1 to 64 visible ASCII characters.
    """
    client: str | bytes = ""
    for key, value in metadata:
        # With spaces at its ends it is no field value of HTTP; HTTP/2 libraries drop it, gRPC's does not.
        if key == KEY and value == value.strip():
            client = value
    if not (isinstance(client, str) and _VISIBLE_ASCII.fullmatch(client)):
        raise InvalidRequestError(
            f"{KEY}: send 1 to 64 visible ASCII characters, such as checkout/1.4.2, or leave it out"
        )
    return client
