"""The training profile: how each raw field and the score were distributed, which drift compares with.

For a number or integer field x: "field.x.edges" float64 [e], "field.x.counts" int64 [e + 1] and
"field.x.missing" int64; bin i holds edges[i-1] < value <= edges[i]. For a text field: "field.x.categories"
text [c], "field.x.counts" int64 [c], "field.x.missing" and "field.x.other" int64. The score is profiled like
a number, as "score.edges" and so on. "rows" and "score.rows", int64, count what each profile was made from.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.session import SCORE
from trainer.utility import usable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.signature import Blocks, Signature

BINS = 20
CATEGORIES = 100
"""The most frequent categories that are counted one by one; all others count as "other"."""


def profile(signature: Signature, blocks: Blocks, score: NDArray[np.float32]) -> bytes:
    """The profile of raw rows and of scores as the bytes of an npz file without pickles.

    score: float32 [m], of rows the model was not fitted on; these need not be the rows of `blocks`.
    """
    arrays: dict[str, Any] = {"rows": np.int64(len(blocks)), f"{SCORE}.rows": np.int64(len(score))}
    numbers = usable(signature, blocks)
    for column, field in enumerate(signature.numbers):
        arrays |= _profile_numbers(f"field.{field.name}", numbers[:, column].astype(np.float64))
    for column, field in enumerate(signature.integers):
        arrays |= _profile_numbers(f"field.{field.name}", blocks.integers[:, column].astype(np.float64))
    for column, field in enumerate(signature.texts):
        arrays |= _profile_texts(f"field.{field.name}", blocks.texts[:, column])
    arrays |= _profile_numbers(SCORE, score.astype(np.float64))
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _profile_numbers(name: str, values: NDArray[np.float64]) -> dict[str, Any]:
    present = values[~np.isnan(values)]
    levels = np.linspace(0, 1, BINS + 1)[1:-1]
    # "lower" gives edges that are values themselves, so that ties fall on one side of them.
    edges = np.unique(np.quantile(present, levels, method="lower")) if len(present) else np.empty(0)
    counts = np.bincount(np.searchsorted(edges, present, side="left"), minlength=len(edges) + 1)
    return {
        f"{name}.edges": edges,
        f"{name}.counts": counts.astype(np.int64),
        f"{name}.missing": np.int64(len(values) - len(present)),
    }


def _profile_texts(name: str, values: NDArray[np.object_]) -> dict[str, Any]:
    present = values[values != ""].astype(str)
    categories, counts = np.unique(present, return_counts=True)
    chosen = np.sort(np.argsort(-counts, kind="stable")[:CATEGORIES])
    return {
        f"{name}.categories": categories[chosen],
        f"{name}.counts": counts[chosen].astype(np.int64),
        f"{name}.missing": np.int64(len(values) - len(present)),
        f"{name}.other": np.int64(len(present) - counts[chosen].sum()),
    }
