"""What the columns of a model's blocks are called: the names that its bundle gives them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from sidecar.bundle import open_bundle
from sidecar.errors import BundleError, NotFoundError
from sidecar.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from sidecar.codec import Columns

BLOCKS = ("numbers", "integers", "texts", "features")
_AWKWARD = re.compile(r"[ ,;{}()\n\t=.]")
"""What a column's name cannot have everywhere: Spark, for one, refuses these."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Table columns by block, in the order of the block's columns. Unlike each other and those reserved."""

    numbers: tuple[str, ...]
    integers: tuple[str, ...]
    texts: tuple[str, ...]
    features: tuple[str, ...]

    @classmethod
    def name(
        cls,
        fields: Sequence[Sequence[str]],
        features: Sequence[str],
        reserved: Collection[str],
    ) -> Self:
        """Raw fields by their own name, features as feature_<name>; a name that is taken gets a number.

        fields: those of the numbers, integers and texts block.
        """
        taken = set(reserved)
        numbers, integers, texts = (tuple(unlike(taken, name) for name in names) for names in fields)
        return cls(numbers, integers, texts, tuple(unlike(taken, f"feature_{name}") for name in features))

    def fits(self, columns: Columns) -> bool:
        """Whether it has a name for every column of the blocks that there are, and no other."""
        return all(_width(columns, block) in (None, len(getattr(self, block))) for block in BLOCKS)


class Layouts:
    """The layouts of models by digest, from the bundles that the registry of a home knows."""

    def __init__(self, registry: Path, reserved: Collection[str]) -> None:
        self._registry = registry
        self._reserved = reserved
        self._known: dict[str, Layout | None] = {}

    def of(self, digest: str, columns: Columns) -> Layout:
        """The layout of a model's rows; by place (number_0, ...) where its bundle is gone or differs.

        columns: some or all of the rows' columns.
        """
        found = self._layout(digest)
        if found is not None and found.fits(columns):
            return found
        fields = [
            [f"{block.removesuffix('s')}_{place}" for place in range(_width(columns, block) or 0)]
            for block in ("numbers", "integers", "texts")
        ]
        features = [str(place) for place in range(_width(columns, "features") or 0)]
        return Layout.name(fields, features, self._reserved)

    def names(self, digest: str) -> frozenset[str]:
        """What the columns of a model's blocks are called; none where its bundle is gone."""
        found = self._layout(digest)
        return frozenset(name for block in BLOCKS for name in getattr(found, block, ()))

    def blocks_with(self, digest: str, names: Collection[str]) -> set[str]:
        """The blocks that have some of these columns; all of them where the model's bundle is gone."""
        if not names:
            return set()
        found = self._layout(digest)
        if found is None:
            return set(BLOCKS)
        return {block for block in BLOCKS if not set(names).isdisjoint(getattr(found, block))}

    def _layout(self, digest: str) -> Layout | None:
        if digest not in self._known:
            self._known[digest] = self._find(digest)
        return self._known[digest]

    def _find(self, digest: str) -> Layout | None:
        if not self._registry.exists():
            return None
        try:
            with Registry(self._registry) as registry:
                bundle = open_bundle(registry.find(digest).path)
        except (NotFoundError, BundleError):
            return None
        signature = bundle.signature
        fields: list[Any] = [
            [field.name for field in block]
            for block in (signature.numbers, signature.integers, signature.texts)
        ]
        return Layout.name(fields, bundle.feature_names, self._reserved)


def _width(columns: Columns, block: str) -> int | None:
    return columns[block].shape[1] if block in columns else None


def unlike(taken: set[str], name: str) -> str:
    """The name as tables may have it, with a number where it is taken. taken: in lower case; gets it too."""
    wanted = plain = _AWKWARD.sub("_", name)
    number = 2
    while wanted.lower() in taken:  # SQL takes names that differ by case only for the same
        wanted = f"{plain}_{number}"
        number += 1
    taken.add(wanted.lower())
    return wanted
