"""Request ids: the key that outcomes are joined by."""

from __future__ import annotations

import itertools
import re
import secrets

from sidecar.errors import InvalidRequestError

MAX_LENGTH = 128
_VISIBLE_ASCII = re.compile(r"[!-~]{1,128}")


def is_request_id(text: str) -> bool:
    """Whether `text` is 1 to 128 visible ASCII characters."""
    return _VISIBLE_ASCII.fullmatch(text) is not None


def check_request_id(text: str) -> str:
    """Return `text` if it can be a request id; raises InvalidRequestError otherwise."""
    if not is_request_id(text):
        raise InvalidRequestError(
            f"request_id {text[:MAX_LENGTH]!a}: send 1 to {MAX_LENGTH} visible ASCII characters, or none"
        )
    return text


class RequestIds:
    """Makes request ids: a random prefix for the run and a counter. Unique across runs and machines."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count()

    def __repr__(self) -> str:
        return f"<RequestIds {self._prefix}-*>"

    def make(self) -> str:
        """Return the next id."""
        return f"{self._prefix}-{next(self._numbers):x}"
