"""The training snapshot: labelled rows frozen on disk, named by the digest of their content.

A folder `snapshots/<digest>` holds

    manifest.json    what it is: the signature, and the facts of how its rows were chosen
    rows.npz         the rows, as plain arrays; nothing pickled

The digest is the SHA-256 over the sorted lines "<file's SHA-256>  <name>". Neither file holds the time of
writing, so the same query on the same data gives the same snapshot.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.content_folder import content_digest, write_folder
from sidecar.domain import to_texts
from sidecar.errors import BundleError, ConfigError, NotFoundError, SidecarError, SignatureMismatchError
from sidecar.signature import Blocks, Signature
from sidecar.store.joining import first_of_each, order_of_rows
from trainer.days import nanoseconds
from trainer.join import check_columns, read_rows
from trainer.task import History

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from sidecar.store.reader import LogReader
    from trainer.task import Task

FORMAT = 1
MANIFEST, ROWS = "manifest.json", "rows.npz"
FILES = frozenset({MANIFEST, ROWS})


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Labelled rows, ordered by (event_ns, request_id), each request_id once.

    label: float64 [n], 0 or 1; weight: float64 [n], how many rows each stands for; event_ns: int64 [n];
    request_ids: n texts. facts: plain JSON data; the query and what it found.
    """

    digest: str
    path: Path
    signature: Signature
    blocks: Blocks
    label: NDArray[np.float64]
    weight: NDArray[np.float64]
    event_ns: NDArray[np.int64]
    request_ids: Sequence[str]
    facts: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.label)

    def oldest(self, rows: int) -> Snapshot:
        """As if it had ended after so many rows. The digest remains: it names what this is a part of."""
        part = slice(0, rows)
        return replace(
            self,
            blocks=self.blocks.take(part),
            label=self.label[part],
            weight=self.weight[part],
            event_ns=self.event_ns[part],
            request_ids=self.request_ids[part],
        )


def write_snapshot(
    root: Path,
    *,
    signature: Signature,
    blocks: Blocks,
    label: NDArray[np.float64],
    event_ns: NDArray[np.int64],
    request_ids: Sequence[str],
    facts: Mapping[str, Any],
    weight: NDArray[np.float64] | None = None,
) -> Snapshot:
    """Order the rows, write them below `root` and open them. The folder appears whole or not at all.

    weight: each row stands for itself when not given. Of rows with the same request_id the first given stays.
    Raises SignatureMismatchError when the blocks have other columns than the signature.
    """
    check_columns(signature, blocks)
    known_ids = np.array([request_id.encode(errors="surrogatepass") for request_id in request_ids], np.bytes_)
    keep = first_of_each(known_ids)
    rows = keep[order_of_rows(event_ns[keep], known_ids[keep])]
    ids = [request_ids[row] for row in rows.tolist()]
    manifest = {
        "facts": dict(facts),
        "format": FORMAT,
        "rows": len(rows),
        "signature": signature.to_json(),
        "signature_digest": signature.digest,
    }
    content = {
        MANIFEST: (json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False) + "\n").encode(),
        ROWS: _pack(
            blocks.take(rows), label[rows], None if weight is None else weight[rows], event_ns[rows], ids
        ),
    }
    return open_snapshot(write_folder(root, content))


def open_snapshot(path: Path) -> Snapshot:
    """Check a snapshot's content against its name and read its rows.

    Raises NotFoundError when there is no such folder, and BundleError when a file is absent, added or
    changed, or the format is not known.
    """
    if not path.is_dir():
        raise NotFoundError(f"no snapshot at {path}; make one with `trainer snapshot`")
    name = path.name[:12]
    found = {entry.name for entry in path.iterdir()}
    if found != FILES:
        raise BundleError(f"snapshot {name}: files absent or added: {', '.join(sorted(found ^ FILES))}")
    content = {file: (path / file).read_bytes() for file in FILES}
    digest = content_digest({file: hashlib.sha256(data).hexdigest() for file, data in content.items()})
    if digest != path.name:
        raise BundleError(
            f"snapshot {name}: its content has digest {digest[:12]}, so it was damaged or edited; "
            "make it again"
        )
    manifest = json.loads(content[MANIFEST])
    if manifest["format"] != FORMAT:
        raise BundleError(f"snapshot {name}: format {manifest['format']!r}; this version reads {FORMAT}")
    blocks, label, weight, event_ns, request_ids = _unpack(content[ROWS])
    return Snapshot(
        digest=digest,
        path=path,
        signature=Signature.from_json(manifest["signature"]),
        blocks=blocks,
        label=label,
        weight=weight,
        event_ns=event_ns,
        request_ids=request_ids,
        facts=manifest["facts"],
    )


def find_snapshot(root: Path, prefix: str) -> Path:
    """The folder of the one snapshot below `root` whose digest begins with `prefix`.

    Raises NotFoundError when none or several do.
    """
    found = sorted(path for path in root.glob(f"{prefix}*") if path.is_dir()) if prefix.isalnum() else []
    if len(found) != 1:
        known = ", ".join(sorted(path.name[:12] for path in root.glob("[!.]*"))) or "none"
        count = "no snapshot begins" if not found else f"{len(found)} snapshots begin"
        raise NotFoundError(f"{count} with {prefix!r}; there are: {known}")
    return found[0]


def from_history(task: Task, until_ns: int | None = None, *, root: Path) -> Snapshot:
    """What was known at `until_ns` of the rows from before there was a log; None stands for all of them.

    A row is in when it had matured by then and its label was known. Raises NotFoundError when the task has
    no history, or none that old, and ConfigError when loading it fails.
    """
    if task.history is None:
        raise NotFoundError(f"task {task.name!r} has no history; give it one, or snapshot the log")
    try:
        history = task.history()
    except SidecarError:
        raise
    except Exception as error:  # the task's own code may fail in any way
        raise ConfigError(
            f"the history of task {task.name!r} failed: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(history, History):
        raise ConfigError(f"the history of task {task.name!r} is {type(history).__name__}, not History")
    if until_ns is None:
        last_ns = int(np.max(history.event_ns, initial=0)) + nanoseconds(task.maturity)
        until_ns = max(last_ns, int(np.max(history.known_ns, initial=0)))
    known = np.asarray(history.known_ns) <= until_ns
    matured = np.asarray(history.event_ns) + nanoseconds(task.maturity) <= until_ns
    rows = np.flatnonzero(known & matured)
    if not len(rows):
        raise NotFoundError(
            f"task {task.name!r}: no row of the history had matured by then; choose a later date"
        )
    columns = {name: np.asarray(column)[rows] for name, column in history.columns.items()}
    return write_snapshot(
        root,
        signature=task.signature,
        blocks=task.signature.pack_columns(columns),
        label=np.asarray(history.label, np.float64)[rows],
        event_ns=np.asarray(history.event_ns, np.int64)[rows],
        request_ids=[history.request_ids[row] for row in rows.tolist()],
        facts={
            "source": "history",
            "task": task.name,
            "query": {"until_ns": until_ns, "maturity_ns": nanoseconds(task.maturity)},
            "counts": {
                "served": len(known),
                "labelled": len(rows),
                "expired": int(np.count_nonzero(matured & ~known)),
                "pending": int(np.count_nonzero(~matured)),
            },
            "base": "",
            "code_version": code_version(),
        },
    )


def from_log(
    task: Task, reader: LogReader, as_of_ns: int | None = None, base: Snapshot | None = None, *, root: Path
) -> Snapshot:
    """The log's matured, labelled rows as known at `as_of_ns`, on top of the rows of `base`.

    as_of_ns: the log's clock when not given. Raises NotFoundError when there is no row at all, and
    SignatureMismatchError when base or log have other columns than the task.
    """
    if base is not None and base.signature.digest != task.signature.digest:
        raise SignatureMismatchError(
            f"snapshot {base.digest[:12]} has another signature than task {task.name!r}; "
            "start from the history"
        )
    rows = read_rows(reader, task.signature, task.maturity, as_of_ns=as_of_ns, hidden_by=task.hidden_by)
    chosen = np.flatnonzero(rows.labelled)
    blocks, label, event_ns = rows.blocks.take(chosen), rows.label[chosen], rows.event_ns[chosen]
    weight = rows.weight[chosen]
    request_ids = to_texts(rows.request_ids[chosen])
    if base is not None:
        blocks = Blocks.concat([base.blocks, blocks])
        label = np.concatenate([base.label, label])
        weight = np.concatenate([base.weight, weight])
        event_ns = np.concatenate([base.event_ns, event_ns])
        request_ids = [*base.request_ids, *request_ids]
    if not request_ids:
        raise NotFoundError(
            f"task {task.name!r}: no logged row has matured and has a label yet; wait, or record outcomes"
        )
    return write_snapshot(
        root,
        signature=task.signature,
        blocks=blocks,
        label=label,
        event_ns=event_ns,
        request_ids=request_ids,
        facts={
            "source": "log",
            "task": task.name,
            "query": {"as_of_ns": rows.as_of_ns, "maturity_ns": nanoseconds(task.maturity)},
            "counts": rows.counts(),
            "base": "" if base is None else base.digest,
            "code_version": code_version(),
        },
        weight=weight,
    )


def code_version() -> str:
    """The version of this distribution."""
    return importlib.metadata.version("model-sidecar")


def _pack(
    blocks: Blocks,
    label: NDArray[np.float64],
    weight: NDArray[np.float64] | None,
    event_ns: NDArray[np.int64],
    request_ids: Sequence[str],
) -> bytes:
    # Texts repeat, so each is stored once; as JSON, because one long text would widen a fixed-width array.
    texts = sorted({text for column in blocks.texts.T for text in set(column)})
    code = {text: index for index, text in enumerate(texts)}
    codes = np.array([code[text] for text in blocks.texts.ravel()], np.int32).reshape(blocks.texts.shape)
    some: dict[str, Any] = {}
    if weight is not None and (weight != 1).any():
        some["weight"] = np.asarray(weight, np.float64)
    file = io.BytesIO()
    np.savez_compressed(
        file,
        numbers=np.ascontiguousarray(blocks.numbers, np.float32),
        integers=np.ascontiguousarray(blocks.integers, np.int64),
        text_codes=codes,
        texts=_json_array(texts),
        label=np.asarray(label, np.float64),
        event_ns=np.asarray(event_ns, np.int64),
        request_ids=_json_array(request_ids),
        **some,
    )
    return file.getvalue()


def _unpack(
    data: bytes,
) -> tuple[Blocks, NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], Sequence[str]]:
    with np.load(io.BytesIO(data), allow_pickle=False) as rows:
        texts = np.array([*json.loads(rows["texts"].tobytes()), ""], object)[rows["text_codes"]]
        blocks = Blocks(rows["numbers"], rows["integers"], texts)
        label: NDArray[np.float64] = rows["label"]
        weight = rows["weight"] if "weight" in rows else np.ones(len(label))
        return blocks, label, weight, rows["event_ns"], json.loads(rows["request_ids"].tobytes())


def _json_array(texts: Sequence[str]) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(list(texts)).encode(), np.uint8)
