"""How the small SQLite files of a home are opened: its registry, its profiles and its findings.

A sidecar holds them open as long as it lives, and asks little of them.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BUSY_SECONDS = 10.0
CACHE_KIB = 256
"""Memory for pages of each. SQLite's usual 2 MB would fill over days, and look like a leak."""


def open_small_file(path: Path) -> sqlite3.Connection:
    """Open the file for one thread at a time; it is made when absent. Raises sqlite3.Error."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")  # negative: so many KiB
    except BaseException:
        connection.close()
        raise
    return connection
