"""Tells a person how far the work has come: on a terminal with a spinner, elsewhere in plain lines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.markup import escape

if TYPE_CHECKING:
    from rich.console import Console

QUIET_SECONDS = 10.0
"""Away from a terminal, waiting is mentioned no more often than this."""


class Terminal:
    """A narrator on `console`, to be used as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("")
        self._stages = 0
        self._mentioned = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def stage(self, text: str) -> None:
        """Begin a stage, which gets a number."""
        self._stages += 1
        self._mentioned = -QUIET_SECONDS
        self._console.print(f"[bold]{self._stages}. {escape(text)}[/]", highlight=False)
        self._status.update("")

    def note(self, text: str) -> None:
        """Print something worth keeping."""
        self._console.print(f"   {escape(text)}", highlight=False)

    def wait(self, text: str) -> None:
        """Show what is being done or waited for just now, in place of what was shown before."""
        if self._console.is_terminal:
            self._status.update(escape(text))
        elif time.monotonic() - self._mentioned >= QUIET_SECONDS:
            self._mentioned = time.monotonic()
            self.note(f"... {text}")
