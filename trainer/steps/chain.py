"""One set of columns and the steps that it goes through, as a form that can be written."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.pipeline import Pipeline

from sidecar.signature import Kind
from trainer.errors import ExportError
from trainer.steps.bins import write_bins
from trainer.steps.converted import write_converted
from trainer.steps.cross import Cross
from trainer.steps.encoded import Encoded, read_encoded
from trainer.steps.ids import number_ids
from trainer.steps.integer_parts import write_integer_parts
from trainer.steps.numeric import (
    read_fill,
    write_binarizer,
    write_function,
    write_imputer,
    write_missing_indicator,
    write_scaler,
)
from trainer.steps.quantiles import write_quantiles
from trainer.steps.scaled import Scaled, read_scaler
from trainer.steps.tensor import Tensor
from trainer.steps.timestamps import write_timestamps
from trainer.steps.words import Counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trainer.graph import Graph
    from trainer.steps.form import Form
    from trainer.steps.raw import Raw

ENCODERS = frozenset({"OneHotEncoder", "OrdinalEncoder", "TargetEncoder"})
SCALERS = frozenset({"StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler"})
_WRITERS: dict[str, Callable[[Graph, Any, Tensor], str]] = {
    **dict.fromkeys(SCALERS, write_scaler),
    "SimpleImputer": write_imputer,
    "MissingIndicator": write_missing_indicator,
    "Binarizer": write_binarizer,
    "FunctionTransformer": write_function,
    "KBinsDiscretizer": write_bins,
    "QuantileTransformer": write_quantiles,
    "TimestampParts": write_timestamps,
    "IntegerParts": write_integer_parts,
}
_INTEGER_STEPS = SCALERS | ENCODERS | {"TimestampParts", "IntegerParts"}
"""What takes integers of any size without rounding them to float32 first."""


@dataclass(frozen=True, eq=False)
class Chain:
    """Steps written one after the other, for what cannot be merged with other columns.

    head: encoded texts or integers that the first of `steps` takes; None when it takes raw columns of `kind`.
    """

    kind: Kind
    columns: tuple[int, ...]
    steps: tuple[Any, ...]
    head: Encoded | Counted | None = None

    @property
    def group(self) -> tuple[Any, ...]:
        """Equal to no other's."""
        return (type(self), id(self))

    @property
    def texts(self) -> set[str]:
        """The texts that it must tell apart."""
        return set() if self.head is None else self.head.texts

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """The only one."""
        (only,) = parts
        return only

    def write(self, graph: Graph, raw: Raw) -> str:
        """Append the nodes; return the features' name, float32."""
        if self.head is None:
            block, width = raw.block(self.kind)
            tensor = Tensor(graph.columns(block, self.columns, width), self.kind, len(self.columns))
        else:
            tensor = Tensor(self.head.write(graph, raw), Kind.NUMBER, self.head.width)
        for step in self.steps:
            width = getattr(step, "n_features_in_", tensor.width)
            made = _writer(step)(graph, step, Tensor(tensor.name, tensor.kind, width))
            tensor = Tensor(made, Kind.NUMBER, width)
        return tensor.name


def read_form(kind: Kind, columns: tuple[int, ...], step: Any) -> Form:
    """The form of fitted `step` on columns of the block of `kind`; step is None for passthrough."""
    steps = flatten(step)
    names = [type(each).__name__ for each in steps]
    if names[:1] == ["Words"]:
        counted = Counted(columns, steps[0])
        return Chain(kind, columns, steps[1:], counted) if steps[1:] else counted
    if kind is Kind.TEXT or (kind is Kind.INTEGER and names and names[0] in ENCODERS):
        encoder = next(place for place, name in enumerate(names) if name in ENCODERS)
        return _read_encoder(kind, columns, steps, encoder)
    fill = np.full(len(columns), np.nan)
    rest = steps
    if kind is Kind.NUMBER and names[:1] == ["SimpleImputer"] and _fills_only(steps[0]):
        fill, rest = read_fill(steps[0]), steps[1:]
    if not rest:
        return Scaled(kind, columns, fill, np.zeros(len(columns)), np.ones(len(columns)))
    if len(rest) == 1 and type(rest[0]).__name__ in SCALERS and not getattr(rest[0], "clip", False):
        return Scaled(kind, columns, fill, *read_scaler(rest[0], len(columns)))
    return Chain(kind, columns, steps)


def flatten(step: Any) -> tuple[Any, ...]:
    """The steps of nested Pipelines in order, without those that pass everything through."""
    if step is None or isinstance(step, str):
        return ()
    if isinstance(step, Pipeline):
        return tuple(inner for _, each in step.steps for inner in flatten(each))
    return (step,)


def takes_integers(step: Any) -> bool:
    """Whether `step` takes integers of any size without rounding them to float32 first."""
    steps = flatten(step)
    return bool(steps) and type(steps[0]).__name__ in _INTEGER_STEPS


def _fills_only(imputer: Any) -> bool:
    missing = imputer.missing_values
    return not imputer.add_indicator and isinstance(missing, float) and np.isnan(missing)


def check_texts(step: Any) -> None:
    """Raise ExportError when texts cannot go through `step`.

    They can through Words, or through imputers or one cross and then an encoder.
    """
    names = [type(each).__name__ for each in flatten(step)]
    if names[:1] == ["Words"]:
        return
    place = next((place for place, name in enumerate(names) if name in ENCODERS), len(names))
    before = names[:place]
    odd = next((name for name in before if name not in ("SimpleImputer", "Cross")), None)
    if odd is not None:
        raise ExportError(f"{odd} of text has no export; use an encoder, or Words")
    if place == len(names):
        raise ExportError("text cannot pass through; end with an encoder")
    if "Cross" in before and len(before) > 1:
        raise ExportError("Cross must be the first step, and the encoder the second")


def _read_encoder(kind: Kind, columns: tuple[int, ...], steps: tuple[Any, ...], place: int) -> Form:
    before, encoder, after = steps[:place], steps[place], steps[place + 1 :]
    extra = [step.missing_values for step in before if type(step).__name__ == "SimpleImputer"]
    cross = next((step for step in before if isinstance(step, Cross)), None)
    if type(encoder).__name__ != "OneHotEncoder" and all(type(step).__name__ in SCALERS for step in after):
        # Each column for itself to the end, so that the table holds the scaled values.
        return read_encoded(steps, encoder, kind, columns, extra=extra, cross=cross)
    encoded = read_encoded(steps[: place + 1], encoder, kind, columns, extra=extra, cross=cross)
    return Chain(kind, columns, after, encoded) if after else encoded


def _writer(step: Any) -> Callable[[Graph, Any, Tensor], str]:
    return _WRITERS.get(type(step).__name__, write_converted)


def _write_encoder(graph: Graph, step: Any, tensor: Tensor) -> str:
    """An encoder of numbers."""
    encoded = read_encoded([step], step, tensor.kind, range(tensor.width))
    keys = itertools.chain.from_iterable(encoded.keys)
    return encoded.write_ids(graph, number_ids(graph, tensor.name, tensor.width, keys))


_WRITERS.update(dict.fromkeys(ENCODERS, _write_encoder))
