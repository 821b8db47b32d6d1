"""Where sealed rows lie, and one file of them.

    log/served/model=<digest>/day=<date>/<first batch>-<last batch>.parquet
    log/scores/model=<candidate's digest>/day=<date>/...
    log/outcomes/day=<date>/...

The table `sealed_files` of the log says which files count. A file is written under a hidden name, counted in
the same transaction that takes its rows out of SQLite, and only then gets its own name:

    hidden, not counted  ->  hidden, counted  ->  counted

So this reader, which follows the table, sees each row exactly once at every moment, also after a kill at any
of them; and a tool that reads the folder sees no row twice. `sidecar.store.seal` finishes what a kill left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidecar.errors import UnavailableError
from sidecar.store.parquet import read_columns
from sidecar.store.part import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sidecar.store.part import PackedColumns, Within

KIND_SERVED, KIND_SCORES, KIND_OUTCOMES = "served", "scores", "outcomes"
_DIGEST_SHOWN = 12


def sealed_folder(log: Path) -> Path:
    """The folder of the sealed part of the log at this path: log.db's is log/."""
    return log.with_suffix("")


def partition(kind: str, day: str, digest: str | None) -> str:
    """The folder of one kind of rows, one model (for outcomes none) and one day, below the sealed folder."""
    model = f"model={digest[:_DIGEST_SHOWN]}/" if digest else ""
    return f"{kind}/{model}day={day}"


def hidden(path: Path) -> Path:
    """The name that a file has before it is counted. Tools leave names with a dot alone."""
    return path.with_name(f".{path.name}.sealing")


@dataclass(frozen=True, slots=True)
class SealedFile:
    """One file that counts. model, champion: numbers of the `models` table, 0 for none.

    logged: which of its rows were in the log at the moment asked about, where not all were.
    """

    path: Path
    model: int
    champion: int
    logged: Within = field(default_factory=dict)

    def read(self, names: Iterable[str], within: Within = EVERYTHING) -> list[PackedColumns]:
        """Columns by their name in the log, of rows that were logged; see `read_columns`.

        Raises UnavailableError when the file is gone or damaged.
        """
        for path in (self.path, hidden(self.path), self.path):  # it may get its own name between two looks
            try:
                return read_columns(path, names, {**within, **self.logged})
            except FileNotFoundError:
                continue
            except OSError as error:  # pyarrow's own errors on what it reads are among them
                raise UnavailableError(f"{path} cannot be read: {error}") from error
        raise UnavailableError(f"{self.path} is gone; if retention took it away just now, ask again")
