"""What `sidecar/session.py` makes of a graph: `python reference.py GRAPH MODEL ROWS FEED`.

FEED is a folder with files for ROWS rows: `numbers` (float32), `integers` (int64), both little-endian, and
`texts` (UTF-8, each ended by a line feed). The first row is run, then the first two, and so on. One line is
written for each run: features, score and decision in hex, or "error" and the exception's text.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from sidecar.errors import SidecarError
from sidecar.session import Model, open_session
from sidecar.signature import Blocks


def read(feed: Path, rows: int) -> Blocks:
    """All rows."""
    texts = (feed / "texts").read_text(encoding="utf-8").split("\n")[:-1]
    return Blocks(
        np.fromfile(feed / "numbers", "<f4").reshape(rows, -1),
        np.fromfile(feed / "integers", "<i8").reshape(rows, -1),
        np.array(texts, object).reshape(rows, -1),
    )


def run(model: Model, blocks: Blocks) -> str:
    """One run's line."""
    try:
        prediction = model.run(blocks)
    except SidecarError as error:
        return f"error {error}"
    outputs = (prediction.features, prediction.score, prediction.decision)
    return " ".join(output.tobytes().hex() for output in outputs)


def main(graph: str, name: str, rows: int, feed: Path) -> None:
    """Write a line for each number of rows."""
    bundle: Any = SimpleNamespace(model=name)
    try:
        model = Model(bundle, open_session(Path(graph)))
    except SidecarError as error:
        print(f"error {error}")  # noqa: T201  # the answer
        return
    blocks = read(feed, rows)
    for few in range(1, rows + 1):
        part = Blocks(blocks.numbers[:few], blocks.integers[:few], blocks.texts[:few])
        print(run(model, part))  # noqa: T201  # the answer


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
