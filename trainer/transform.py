"""From raw blocks to features: fitted with scikit-learn, then written into a graph.

scikit-learn's own features are used for nothing but the parity check: models are fitted on, and served,
what the graph computes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from sidecar.session import FEATURES, NUMBERS
from sidecar.signature import Kind, Outside, Signature
from trainer.errors import ExportError, first_line
from trainer.refusal import refuse_step
from trainer.seed import seed
from trainer.steps.chain import check_texts, read_form, takes_integers
from trainer.steps.raw import Raw
from trainer.utility import usable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sidecar.signature import Blocks
    from trainer.graph import Graph
    from trainer.steps.form import Form
    from trainer.task import Columns, Transform

EXACT = 2**24
"""float32 holds every integer up to here, and not the next."""


@dataclass(frozen=True)
class Part:
    """One fitted set of columns; step is None for passthrough. indices: its columns of the kind's block."""

    kind: Kind
    fields: tuple[str, ...]
    indices: tuple[int, ...]
    step: Any
    names: tuple[str, ...]


@dataclass(frozen=True)
class FittedTransform:
    """A transform whose steps are fitted. Made by `fit_transform`."""

    signature: Signature
    parts: tuple[Part, ...]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name for each feature, in order; the part's position is added where a name occurs twice."""
        named = [(place, name) for place, part in enumerate(self.parts) for name in part.names]
        names = [name for _, name in named]
        return tuple(f"{name}@{place}" if names.count(name) > 1 else name for place, name in named)

    def reference(self, blocks: Blocks) -> NDArray[np.float64]:
        """What scikit-learn itself makes of raw rows, float64 [n, features]: the yardstick of parity."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.hstack([_apply(part, self.raw(part, blocks)) for part in self.parts])

    def raw(self, part: Part, blocks: Blocks) -> NDArray[Any]:
        """What `part` sees of raw rows, [n, fields]; numbers out of bounds are missing where so declared."""
        return _input(part, self.signature, blocks)

    def write(self, graph: Graph, *, blocked: bool = True) -> str:
        """Append the nodes from the raw blocks to "features"; return the name of the usable numbers.

        blocked: columns of one form go through the same nodes, whichever part they belong to. Without, each
        part has nodes of its own, and the features are equal bit for bit.
        Raises ExportError naming the step that does not convert.
        """
        numbers = write_bounds(graph, self.signature)
        forms = [_form(part) for part in self.parts]
        raw = Raw(graph, self.signature, numbers, set().union(*(form.texts for form in forms)))
        groups: dict[Any, list[int]] = {}
        for place, form in enumerate(forms):
            groups.setdefault(form.group if blocked else place, []).append(place)
        made = [_write_group(graph, raw, forms, self.parts, places) for places in groups.values()]
        # Which column of the groups' features, one after the other, each feature of the parts is.
        ends = np.cumsum([0, *(len(part.names) for part in self.parts)])
        order = np.concatenate(
            [np.arange(ends[p], ends[p + 1]) for places in groups.values() for p in places]
        )
        features = graph.concat(made)
        if not np.array_equal(order, np.arange(len(order))):
            features = graph.add("Gather", features, graph.constant(np.argsort(order)), axis=1)
        graph.name_output(features, FEATURES)
        return numbers


def fit_transform(
    transform: Transform, signature: Signature, blocks: Blocks, label: NDArray[np.float64]
) -> FittedTransform:
    """Fit a clone of every step on raw rows. Numbers out of bounds count as missing where so declared.

    Raises ExportError naming the step that cannot be fitted, or is known to be exported wrongly.
    """
    return FittedTransform(
        signature, tuple(_fit(columns, signature, blocks, label) for columns in transform.columns)
    )


def _fit(columns: Columns, signature: Signature, blocks: Blocks, label: NDArray[np.float64]) -> Part:
    kind = signature.by_name[columns.fields[0]].kind
    block = [field.name for field in _fields(signature, kind)]
    indices = tuple(block.index(name) for name in columns.fields)
    where = _place(columns.fields)
    step = None if columns.step == "passthrough" else seed(clone(columns.step))
    if kind is Kind.TEXT:
        try:
            check_texts(step)
        except ExportError as error:
            raise ExportError(f"{where}: {error}") from error
    if kind is Kind.INTEGER and not takes_integers(step):
        _check_digits(signature, columns.fields, where)
    if step is None:
        return Part(kind, columns.fields, indices, None, columns.fields)
    refuse_step(step, where)
    part = Part(kind, columns.fields, indices, step, ())
    raw = _input(part, signature, blocks)
    try:
        step.fit(raw, label)
        width = _apply(part, raw[:1]).shape[1]
    except (ValueError, TypeError) as error:
        raise ExportError(f"{where}: {_name(step)} cannot be fitted: {error}") from error
    return replace(part, names=_names(step, columns.fields, width))


def _check_digits(signature: Signature, fields: Sequence[str], where: str) -> None:
    """Features are float32, which would round a larger integer to another one without a word."""
    for name in fields:
        lower, upper = signature.by_name[name].lower, signature.by_name[name].upper
        if lower is None or upper is None or max(abs(lower), abs(upper)) > EXACT:
            raise ExportError(
                f"{where}: integer '{name}' may exceed {EXACT:,}, which float32 cannot hold exactly; declare "
                "lower and upper within it, or use TimestampParts, IntegerParts, a scaler or an encoder"
            )


def _names(step: Any, fields: tuple[str, ...], width: int) -> tuple[str, ...]:
    try:
        names = tuple(str(name) for name in step.get_feature_names_out(list(fields)))
    except (AttributeError, ValueError):
        names = ()
    if len(names) == width:
        return names
    return fields if len(fields) == width else tuple(f"{fields[0]}_{index}" for index in range(width))


def _input(part: Part, signature: Signature, blocks: Blocks) -> NDArray[Any]:
    if part.kind is Kind.NUMBER:
        return usable(signature, blocks)[:, part.indices]
    return (blocks.integers if part.kind is Kind.INTEGER else blocks.texts)[:, part.indices]


def _apply(part: Part, raw: NDArray[Any]) -> NDArray[np.float64]:
    made = raw if part.step is None else part.step.transform(raw)
    return np.asarray(made.toarray() if hasattr(made, "toarray") else made, np.float64)


def write_bounds(graph: Graph, signature: Signature) -> str:
    """Append what makes numbers outside bounds NaN, for the fields declared so; return the numbers' name."""
    fields = [field if field.outside is Outside.MISSING else None for field in signature.numbers]
    lower = np.array([-np.inf if f is None or f.lower is None else f.lower for f in fields], np.float32)
    upper = np.array([np.inf if f is None or f.upper is None else f.upper for f in fields], np.float32)
    outside = []
    if np.isfinite(lower).any():
        outside.append(graph.add("Less", NUMBERS, graph.constant(lower)))
    if np.isfinite(upper).any():
        outside.append(graph.add("Greater", NUMBERS, graph.constant(upper)))
    if not outside:
        return NUMBERS
    wrong = outside[0] if len(outside) == 1 else graph.add("Or", *outside)
    return graph.add("Where", wrong, graph.constant(np.array(np.nan, np.float32)), NUMBERS)


def _form(part: Part) -> Form:
    try:
        return read_form(part.kind, part.indices, part.step)
    except ExportError as error:
        raise ExportError(f"{_place(part.fields)}: {_name(part.step)}: {error}") from error


def _write_group(
    graph: Graph, raw: Raw, forms: Sequence[Any], parts: Sequence[Part], places: Sequence[int]
) -> str:
    merged = type(forms[places[0]]).merge([forms[place] for place in places])
    try:
        made: str = merged.write(graph, raw)
    except Exception as error:  # converters raise whatever their author thought of
        part = parts[places[0]]
        text = first_line(error)
        raise ExportError(
            f"{_place(part.fields)}: {_name(part.step)} cannot be exported ({text}); use a step that can"
        ) from error
    return made


def _fields(signature: Signature, kind: Kind) -> tuple[Any, ...]:
    blocks = {Kind.NUMBER: signature.numbers, Kind.INTEGER: signature.integers, Kind.TEXT: signature.texts}
    return blocks[kind]


def _width(signature: Signature, kind: Kind) -> int:
    return len(_fields(signature, kind))


def _place(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return f"step for {shown}" + (" ..." if len(names) > 3 else "")  # noqa: PLR2004 - enough to find it


def _name(step: Any) -> str:
    if isinstance(step, Pipeline):
        return " > ".join(_name(inner) for _, inner in step.steps)
    return type(step).__name__
