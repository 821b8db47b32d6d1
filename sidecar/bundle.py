"""The bundle: what a model is on disk.

An immutable folder named by the digest of its content:

    manifest.json    what it is: name, version, signature, feature names, decision rule and costs, what is
                     explored, digests, library versions, parity measured at export
    pipeline.onnx    raw blocks in; features, score and decision out, in one run
    transform.onnx   raw blocks in, features out: what training reads its matrix from
    reference.npz    the training profile, which drift is compared with

Nothing in a bundle is pickled.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidecar.content_folder import content_digest, write_folder
from sidecar.domain import BundleRef, ModelId
from sidecar.errors import BundleError
from sidecar.exploration import NO_EXPLORATION, Exploration
from sidecar.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = 1
MANIFEST, PIPELINE, TRANSFORM, REFERENCE = "manifest.json", "pipeline.onnx", "transform.onnx", "reference.npz"
FILES = frozenset({MANIFEST, PIPELINE, TRANSFORM, REFERENCE})
EXPLORATION = "exploration"
"""Where the manifest says what is explored, if anything is."""
RECIPE = "recipe_digest"
"""Where it names the recipe as it was declared; that of a model that was brought does not."""
MAX_FILE_BYTES = 1 << 30
_MOST_NAMED = 8
_MOST_NAME = 128  # characters; names are shown on terminals and sent in every reply


@dataclass(frozen=True)
class Bundle:
    """An opened bundle whose content has been checked against its name.

    exploration: what of its decisions is explored; of most bundles nothing.
    """

    path: Path
    model: ModelId
    signature: Signature
    feature_names: tuple[str, ...]
    exploration: Exploration
    manifest: Mapping[str, Any]

    @property
    def ref(self) -> BundleRef:
        """The model and where it lies."""
        return BundleRef(self.model, self.path)

    @property
    def recipe_digest(self) -> str:
        """SHA-256 in hex of all that is declared of its recipe; "" for one that was brought."""
        return str(self.manifest.get(RECIPE, ""))

    @property
    def fitted_until_ns(self) -> int | None:
        """The newest event that it was fitted on; None where its manifest does not say."""
        training = self.manifest.get("training")
        return int(training["last_event_ns"]) if training else None


def write_bundle(
    root: Path,
    *,
    name: str,
    version: str,
    signature: Signature,
    feature_names: tuple[str, ...],
    files: Mapping[str, bytes],
    facts: Mapping[str, Any],
) -> Bundle:
    """Write a bundle below `root` and open it. The same content gives the same folder.

    files: the bytes of PIPELINE, TRANSFORM and REFERENCE. facts: what else the manifest shall say
    (plain JSON data). The folder appears whole or not at all.
    """
    manifest = {
        **facts,
        "format": FORMAT,
        "name": name,
        "version": version,
        "signature": signature.to_json(),
        "signature_digest": signature.digest,
        "transform_digest": hashlib.sha256(files[TRANSFORM]).hexdigest(),
        "feature_names": list(feature_names),
    }
    text = json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False) + "\n"
    content = {**files, MANIFEST: text.encode()}
    if content.keys() != FILES:
        raise ValueError(f"a bundle holds {sorted(FILES)}, not {sorted(content)}")
    return open_bundle(write_folder(root, content))


def open_bundle(path: Path) -> Bundle:
    """Check a bundle's content against its name and read its manifest.

    Raises BundleError when a file is absent, added, changed or cannot be read, or the format is not known.
    """
    try:
        digest = _content_digest(path)
    except OSError as error:
        raise BundleError(f"bundle {path.name[:12]} cannot be read: {error}") from error
    if digest != path.name:
        raise BundleError(
            f"bundle {path.name[:12]}: its content has digest {digest[:12]}, so it was damaged or edited; "
            "export it again"
        )
    try:
        return _read_manifest(path, digest)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"bundle {path.name[:12]}: its manifest is not one: {error!r}") from error


def _content_digest(path: Path) -> str:
    if not path.is_dir():
        raise BundleError(f"no bundle at {path}: not a folder")
    found = {entry.name for entry in path.iterdir()}
    if found != FILES:
        odd = sorted(found ^ FILES)
        more = f" and {len(odd) - _MOST_NAMED} more" if len(odd) > _MOST_NAMED else ""
        raise BundleError(
            f"bundle {path.name[:12]}: files absent or added: {', '.join(odd[:_MOST_NAMED])}{more}; "
            "export it again"
        )
    return content_digest({file: _file_digest(path / file) for file in FILES})


def _read_manifest(path: Path, digest: str) -> Bundle:
    manifest = json.loads((path / MANIFEST).read_text())
    if manifest.get("format") != FORMAT:
        raise BundleError(
            f"bundle {path.name[:12]}: format {manifest.get('format')!r}; this version reads format {FORMAT}"
        )
    for part in ("name", "version"):
        text = manifest[part]
        if not (isinstance(text, str) and text.isprintable() and 1 <= len(text) <= _MOST_NAME):
            raise BundleError(
                f"bundle {path.name[:12]}: its {part} is {str(text)[:_MOST_NAME]!r}; "
                f"use 1 to {_MOST_NAME} printable characters"
            )
    return Bundle(
        path=path,
        model=ModelId(manifest["name"], manifest["version"], digest),
        signature=Signature.from_json(manifest["signature"]),
        feature_names=tuple(manifest["feature_names"]),
        exploration=_exploration(manifest, path),
        manifest=manifest,
    )


def _exploration(manifest: Mapping[str, Any], path: Path) -> Exploration:
    if EXPLORATION not in manifest:
        return NO_EXPLORATION
    try:
        return Exploration.from_json(manifest[EXPLORATION])
    except (TypeError, ValueError) as error:
        raise BundleError(
            f"bundle {path.name[:12]}: its exploration is none: {error}; mend the task and fit it again"
        ) from error


def _file_digest(path: Path) -> str:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
        raise BundleError(f"bundle {path.parent.name[:12]}: {path.name} is not a plain file under 1 GiB")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
