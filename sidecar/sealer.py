"""Has older rows sealed and surplus ones dropped, each time by a short-lived process of its own.

So neither the GIL nor the memory of the serving process is part of it, and the kernel lets it wait while the
serving process has work. It may be killed at any moment; see `sidecar.store.sealed`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

from sidecar.housekeeping import Orders

if TYPE_CHECKING:
    from sidecar.config import Config, Log

_LOOK_SECONDS = 5.0
_DROP_SECONDS = 600.0
"""Surplus rows are looked for after each sealing, and at least this often."""
_HOUR_NS = 3600 * 10**9
_MB = 1024 * 1024
_logger = logging.getLogger(__name__)

NOT_SEALED = "rows stay in SQLite: pyarrow is not installed; install model-sidecar with the extra 'parquet'"


class Sealer:
    """Looks at the log every few seconds and starts the process when something is due.

    state: one line for people: what is done with older rows, and what went wrong.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._can_seal = importlib.util.find_spec("pyarrow") is not None
        plan = f"sealed into Parquet after {config.log.seal_hours:g} h or at {config.log.seal_mb:,} MB"
        self._plan = plan if self._can_seal else NOT_SEALED
        self.state = self._plan

    async def run(self) -> None:
        """Go on until cancelled; a process that runs then is ended."""
        if not self._can_seal:
            _logger.warning("log: %s", NOT_SEALED)
        dropped_at = time.monotonic()
        while True:
            seal = self._can_seal and await asyncio.to_thread(self._is_due)
            if seal or time.monotonic() - dropped_at > _DROP_SECONDS:
                await self._keep_house(seal=seal)
                dropped_at = time.monotonic()
            await asyncio.sleep(_LOOK_SECONDS)

    def _is_due(self) -> bool:
        try:
            with closing(
                sqlite3.connect(f"{self._config.log_path.absolute().as_uri()}?mode=ro", uri=True)
            ) as log:
                rows = [
                    log.execute(f"SELECT MIN(written_ns), ifnull(SUM(bytes), 0) FROM {table}").fetchone()  # noqa: S608
                    for table in ("served", "scores")
                ]
        except sqlite3.Error as error:
            self.state = f"{self._plan}; the log cannot be looked at: {error}"
            return False
        oldest_ns = min((first for first, _ in rows if first is not None), default=None)
        return is_due(oldest_ns, sum(size for _, size in rows), self._config.log, time.time_ns())

    async def _keep_house(self, *, seal: bool) -> None:
        orders = Orders(
            log=str(self._config.log_path.absolute()),
            registry=str(self._config.registry_path.absolute()),
            seal=seal,
            settings=asdict(self._config.log),
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "sidecar.housekeeping", orders.to_json()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # a signal to the group must not cut it short
        )
        try:
            out, err = await process.communicate()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        if process.returncode == 0:
            said = out.decode().strip()
            self.state = f"{self._plan}; last: {said}" if said else self.state
        else:
            lines = err.decode(errors="replace").strip().splitlines()
            why = lines[-1] if lines else f"exit code {process.returncode}"
            _logger.warning("log: not sealed: %s", why)
            self.state = f"{self._plan}; the last attempt failed: {why}"


def is_due(oldest_ns: int | None, size: int, settings: Log, now_ns: int) -> bool:
    """Whether rows in SQLite, the oldest written at `oldest_ns` and of `size` bytes in all, are to be sealed.

    >>> from sidecar.config import Log
    >>> hour = 3600 * 10**9
    >>> [is_due(0, size, Log(seal_mb=1), now) for size, now in ((9, hour - 1), (9, hour), (2**20, 1))]
    [False, True, True]
    """
    if oldest_ns is None:
        return False
    return now_ns - oldest_ns >= settings.seal_hours * _HOUR_NS or size >= settings.seal_mb * _MB
