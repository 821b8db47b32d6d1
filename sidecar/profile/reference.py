"""The reference: the profile of a model's training rows, which lies in its bundle as `reference.npz`.

The file holds, for each number `field.x` (and `score`): "field.x.bounds"; for each text: "field.x.categories"
and "field.x.rare", each JSON text as uint8. "rows", "counts", "sums", "squares", "whole", "least" and "most"
are the profile's. "spread.hour.training.excess" and its like are the spread of the training rows' windows. A
file without "score.bounds" is of a model without a training profile.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.bundle import REFERENCE
from sidecar.profile.layout import Layout, Number, Text
from sidecar.profile.profile import Profile
from sidecar.session import SCORE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from sidecar.signature import Signature


@dataclass(frozen=True, eq=False)
class Spread:
    """How much the training rows' own windows differ beyond chance, [subjects, aspects].

    excess: the variance between windows, in units of the variance of one row; 0 where chance explains it.
    worst: how strange the strangest of them was, allowing for that; 0 where chance explains it.
    """

    excess: NDArray[np.float64]
    worst: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reference:
    """Layout, profile and spread.

    spread: by (scale, baseline), such as ("hour", "training"); without those that had too few windows.
    """

    layout: Layout
    profile: Profile
    spread: Mapping[tuple[str, str], Spread]

    def spread_for(self, scales: Sequence[str], baseline: str) -> Spread | None:
        """The spread of the first of these scales that has one."""
        found = (self.spread.get((scale, baseline)) for scale in scales)
        return next((each for each in found if each is not None), None)

    def to_bytes(self) -> bytes:
        """The file's content; the same reference gives the same bytes."""
        layout = self.layout
        arrays: dict[str, Any] = {}
        for number in (*layout.numbers, *layout.integers):
            arrays[f"field.{number.name}.bounds"] = number.bounds
        for text in layout.texts:
            arrays[f"field.{text.name}.categories"] = _as_json(text.categories)
            arrays[f"field.{text.name}.rare"] = _as_json(text.rare)
        arrays[f"{SCORE}.bounds"] = layout.score.bounds
        arrays |= {part.name: np.asarray(getattr(self.profile, part.name)) for part in fields(Profile)}
        for (scale, baseline), spread in self.spread.items():
            arrays[f"spread.{scale}.{baseline}.excess"] = spread.excess
            arrays[f"spread.{scale}.{baseline}.worst"] = spread.worst
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()


def read_reference(bundle: Path, signature: Signature) -> Reference | None:
    """The reference of the bundle at this path; None when the bundle has no training profile.

    Raises ValueError or KeyError when the file is not what the module says, OSError when it cannot be read.
    """
    with np.load(bundle / REFERENCE, allow_pickle=False) as arrays:
        if f"{SCORE}.bounds" not in arrays:
            return None
        layout = Layout(
            tuple(
                Number(each.name, arrays[f"field.{each.name}.bounds"], each.unit)
                for each in signature.numbers
            ),
            tuple(
                Number(each.name, arrays[f"field.{each.name}.bounds"], each.unit)
                for each in signature.integers
            ),
            tuple(
                Text(
                    each.name,
                    tuple(_from_json(arrays[f"field.{each.name}.categories"])),
                    tuple(_from_json(arrays[f"field.{each.name}.rare"])),
                )
                for each in signature.texts
            ),
            Number(SCORE, arrays[f"{SCORE}.bounds"]),
        )
        parts = {part.name: arrays[part.name] for part in fields(Profile)}
        profile = Profile(**{**parts, "rows": int(parts["rows"])})
        if len(profile.counts) != layout.slots or len(profile.sums) != len(layout.subjects):
            raise ValueError("the reference's counts do not fit its layout")
        spread = {}
        for name in arrays.files:
            if name.startswith("spread.") and name.endswith(".excess"):
                _, scale, baseline, _ = name.split(".")
                worst = arrays[f"spread.{scale}.{baseline}.worst"]
                spread[scale, baseline] = Spread(arrays[name], worst)
        return Reference(layout, profile, spread)


def _as_json(texts: tuple[str, ...]) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(texts).encode(), np.uint8)


def _from_json(array: NDArray[np.uint8]) -> list[str]:
    texts: list[str] = json.loads(array.tobytes())
    return texts
