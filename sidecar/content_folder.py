"""Folders named by the digest of their content: bundles and snapshots.

The digest is the SHA-256 over the sorted lines "<file's SHA-256>  <name>".
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def content_digest(file_digests: Mapping[str, str]) -> str:
    """The digest of a folder, from the SHA-256 (hex) of each of its files by name."""
    lines = "".join(f"{digest}  {file}\n" for file, digest in sorted(file_digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def write_folder(root: Path, content: Mapping[str, bytes]) -> Path:
    """Write files, read-only, into a folder below `root` that is named by their digest; return the folder.

    It appears whole or not at all, and one that is there already is left as it is. Raises OSError.
    """
    target = root / content_digest({file: hashlib.sha256(data).hexdigest() for file, data in content.items()})
    if target.exists():
        return target
    root.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=root, prefix=".writing-"))
    try:
        for file, data in content.items():
            (staging / file).write_bytes(data)
            (staging / file).chmod(0o444)
        staging.chmod(0o755)
        staging.rename(target)
    except OSError:
        shutil.rmtree(staging, ignore_errors=True)
        if not target.exists():  # another process may have been quicker
            raise
    return target
