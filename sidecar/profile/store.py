"""Profiles on disk, in the SQLite file `profiles.db` of a home: one row for each window, model and writer.

Each run of a sidecar adds to rows of its own, so several may write one file; whoever reads adds the rows up.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Self

import numpy as np
import sqlite_utils

from sidecar.errors import ConfigError, UnavailableError
from sidecar.profile.profile import Profile
from sidecar.small_file import open_small_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sidecar.profile.layout import Layout

FORMAT = 1
"""Kept in the file's `user_version`."""
_ARRAYS = {"counts": "<i8", "sums": "<f8", "squares": "<f8", "whole": "<i8", "least": "<f8", "most": "<f8"}
"""How each part of a profile lies in its column: its bytes as these numbers."""


class ProfileStore:
    """The profiles in the file at `path`, made when absent. One thread at a time, any number of processes.

    Raises ConfigError when the file is not one that this version reads; every method raises UnavailableError
    when the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._usable():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o640)  # categories are what customers sent
            self._connection = open_small_file(path)
        try:
            with self._usable():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def add(
        self, writer: str, counted: Mapping[tuple[str, int], Profile], layouts: Mapping[str, Layout]
    ) -> None:
        """Add what `writer` counted, by (model's digest, start of the window), in one transaction."""
        with self._transaction():
            for (model, start_ns), profile in counted.items():
                key = (model, start_ns, writer)
                before = self._rows("model = ? AND start_ns = ? AND writer = ?", key)
                for _, former in _decoded(before, layouts[model]):
                    profile += former  # noqa: PLW2901 - the sum of both is what is written
                self._connection.execute(
                    f"INSERT OR REPLACE INTO profiles VALUES (?, ?, ?, ?, {', '.join('?' * len(_ARRAYS))})",  # noqa: S608 - our own text
                    (*key, profile.rows, *_encoded(profile)),
                )

    def windows(
        self, model: str, layout: Layout, *, since_ns: int, until_ns: int
    ) -> list[tuple[int, Profile]]:
        """Each window of a model that starts in since_ns <= start < until_ns, in order, all writers added up.

        A row of another layout, which a damaged file may have, is left out.
        """
        rows = self._rows("model = ? AND start_ns >= ? AND start_ns < ?", (model, since_ns, until_ns))
        windows: dict[int, Profile] = {}
        for start_ns, profile in _decoded(rows, layout):
            windows[start_ns] = windows[start_ns] + profile if start_ns in windows else profile
        return sorted(windows.items())

    def rows(self, model: str) -> dict[int, int]:
        """How many rows each window of a model has, by its start."""
        with self._usable():
            counted = self._connection.execute(
                "SELECT start_ns, SUM(rows) FROM profiles WHERE model = ? GROUP BY start_ns", (model,)
            )
            return dict(counted.fetchall())

    def newest_ns(self, model: str) -> int | None:
        """The start of the newest window of a model; None without any."""
        with self._usable():
            (newest,) = self._connection.execute(
                "SELECT MAX(start_ns) FROM profiles WHERE model = ?", (model,)
            ).fetchone()
        return None if newest is None else int(newest)

    def _prepare(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        (tables,) = self._connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        if version == 0 and tables == 0:
            self._connection.execute("PRAGMA journal_mode = WAL")
            with self._transaction():
                self._create()
        elif version != FORMAT:
            raise ConfigError(
                f"{self._path} has profiles of format {version}, this version reads format {FORMAT}; "
                "move it away"
            )
        self._connection.execute("PRAGMA synchronous = NORMAL")  # counts, which the log has row by row

    def _create(self) -> None:
        (tables,) = self._connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        if tables:
            return  # another process was first
        columns = {"model": str, "start_ns": int, "writer": str, "rows": int, **dict.fromkeys(_ARRAYS, bytes)}
        sqlite_utils.Database(self._connection, strict=True).table("profiles").create(
            columns, pk=("model", "start_ns", "writer"), not_null=columns.keys()
        )
        self._connection.execute(f"PRAGMA user_version = {FORMAT}")

    def _rows(self, where: str, values: Sequence[str | int]) -> list[tuple[int, int, list[bytes]]]:
        with self._usable():
            found = self._connection.execute(
                f"SELECT start_ns, rows, {', '.join(_ARRAYS)} FROM profiles WHERE {where}",  # noqa: S608 - our own text
                values,
            ).fetchall()
        return [(start_ns, rows, cells) for start_ns, rows, *cells in found]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._usable():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise UnavailableError(f"the profiles {self._path} cannot be used: {error}") from error


def _encoded(profile: Profile) -> list[bytes]:
    return [getattr(profile, name).astype(kind).tobytes() for name, kind in _ARRAYS.items()]


def _decoded(rows: list[tuple[int, int, list[bytes]]], layout: Layout) -> Iterator[tuple[int, Profile]]:
    names = [part.name for part in fields(Profile)][1:]
    for start_ns, count, cells in rows:
        arrays = {
            name: np.frombuffer(cell, kind) for (name, kind), cell in zip(_ARRAYS.items(), cells, strict=True)
        }
        if len(arrays["counts"]) == layout.slots and len(arrays["sums"]) == len(layout.subjects):
            yield start_ns, Profile(count, **{name: arrays[name] for name in names})
