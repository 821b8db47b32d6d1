"""The one file a data scientist writes: fields, transform, candidates, money, and when a label is final."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sidecar.errors import ConfigError, SidecarError
from sidecar.exploration import ACTIONS, MOST_SHARE, NO_EXPLORATION, Exploration
from sidecar.signature import Kind
from trainer.retraining import Retraining

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator, ClassifierMixin

    from sidecar.signature import FieldValue, Signature
    from trainer.policy import Policy
    from trainer.search import Search
    from trainer.utility import CostTable


@dataclass(frozen=True)
class Columns:
    """Fields of one kind and the step they go through together.

    step: an unfitted scikit-learn transformer or Pipeline, or "passthrough". It sees a matrix with one column
    per field: numbers float32 with NaN for missing, integers int64, texts str with "" for missing.
    """

    fields: tuple[str, ...]
    step: BaseEstimator | str = "passthrough"

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", tuple(self.fields))
        if not self.fields:
            raise ValueError("columns need at least one field")
        if isinstance(self.step, str) and self.step != "passthrough":
            raise ValueError(f"step {self.step!r}: give a transformer or 'passthrough'")


@dataclass(frozen=True)
class Transform:
    """How raw fields become features; features are concatenated in the order of `columns`."""

    columns: tuple[Columns, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        if not self.columns:
            raise ValueError("a transform needs at least one set of columns")


@dataclass(frozen=True)
class Candidate:
    """A recipe for a model.

    estimator: makes a fresh, unfitted classifier with its random_state set, so that the same snapshot gives
    the same bundle. search: settings of it to try; without, it is fitted as it comes.
    """

    estimator: Callable[[], ClassifierMixin]
    transform: Transform
    search: Search | None = None


@dataclass(frozen=True)
class ExpectedUtility:
    """Act when it is expected to earn more than passing.

    With p the score: p * (act_positive - pass_positive) + (1 - p) * (act_negative - pass_negative) > 0,
    each amount computed from the record itself. It trusts p to be a probability.
    """


@dataclass(frozen=True)
class Threshold:
    """Act when the score is at least t, with t chosen for utility on rows the model was not fitted on."""


@dataclass(frozen=True, eq=False)
class History:
    """Labelled rows from before there was a log, in any order.

    columns: one sequence per field name, as `Signature.pack_columns` takes them. label: float64 [n], 0 or 1.
    event_ns, known_ns: int64 [n], when the prediction was due and when its label became known.
    Raises ValueError when the lengths differ, or a label is neither 0 nor 1.
    """

    columns: Mapping[str, Sequence[FieldValue] | NDArray[Any]]
    label: NDArray[np.float64]
    event_ns: NDArray[np.int64]
    known_ns: NDArray[np.int64]
    request_ids: Sequence[str]

    def __post_init__(self) -> None:
        parts = {**self.columns, "label": self.label, "event_ns": self.event_ns, "known_ns": self.known_ns}
        for name, part in parts.items():
            if len(part) != len(self.request_ids):
                raise ValueError(f"history: {name} has {len(part)} rows, request_ids {len(self.request_ids)}")
        odd = next((label for label in self.label if label not in (0, 1)), None)
        if odd is not None:
            raise ValueError(
                f"history: a label is {odd}; leave out rows without an outcome, give others 0 or 1"
            )

    def __len__(self) -> int:
        return len(self.request_ids)


@dataclass(frozen=True, kw_only=True)
class Task:
    """Everything the trainer needs to know.

    candidates: recipes by name; champion: the recipe the first champion is made from. costs: what decisions
    are worth. decision: the rule that turns a score into a decision. maturity: how long after its event an
    outcome can still arrive. holdout: the last stretch of a snapshot, which models are measured on.
    history: loads labelled rows from before there was a log. entity: the text or integer field that names
    whose rows belong together (a card, a customer), if rows of different entities do not; without it all rows
    of a day belong together. hidden_by: "act" or "pass", if that action hides the outcome for ever, as a
    blocked payment is never seen to be fraud. explore: of the decisions for that action, the share (below
    0.5) whose reply is the other one, so that candidates can be judged; without it none is promoted. slices:
    text or integer fields whose values are evaluated one by one; None for every text field. retraining: when
    `trainer watch` presses the button.
    Raises ValueError naming what does not fit together.
    """

    name: str
    signature: Signature
    candidates: Mapping[str, Candidate]
    champion: str
    costs: CostTable
    decision: ExpectedUtility | Threshold
    maturity: timedelta
    policy: Policy
    holdout: timedelta
    history: Callable[[], History] | None = None
    entity: str | None = None
    hidden_by: str | None = None
    explore: float = 0.0
    slices: tuple[str, ...] | None = None
    retraining: Retraining = field(default_factory=Retraining)

    def __post_init__(self) -> None:
        if not isinstance(self.retraining, Retraining):
            raise TypeError(f"retraining is {self.retraining!r}; give Retraining(every=..., outcomes=...)")
        if self.champion not in self.candidates:
            raise ValueError(
                f"champion '{self.champion}' is not among the candidates {list(self.candidates)}"
            )
        if self.maturity < timedelta(0) or self.holdout <= timedelta(0):
            raise ValueError("maturity must not be negative, and holdout must be longer than nothing")
        for recipe, candidate in self.candidates.items():
            for columns in candidate.transform.columns:
                self._check_columns(recipe, columns)
            if candidate.search:
                _check_search(recipe, candidate)
        self._check_discrete("slices", *self.slice_fields)
        self._check_discrete("entity", self.entity)
        self._check_discrete("the policy's canary_by", self.policy.canary_by)
        self.costs.check(self.signature)
        self._check_exploration()
        self._check_bounds()

    def _check_discrete(self, what: str, *names: str | None) -> None:
        """Values that are compared for equality: of a number that makes no sense."""
        for name in names:
            field = self.signature.by_name.get(name) if name is not None else None
            if name is not None and (field is None or field.kind is Kind.NUMBER):
                raise ValueError(f"{what}: '{name}' is not a text or integer field of the signature")

    def _check_exploration(self) -> None:
        if self.hidden_by not in (None, *ACTIONS):
            raise ValueError(f"hidden_by is {self.hidden_by!r}; give 'act', 'pass' or nothing")
        if self.explore and self.hidden_by is None:
            raise ValueError(
                "explore is given, but no action hides the outcome; say hidden_by, or explore nothing"
            )
        if not 0 <= self.explore < MOST_SHARE:
            raise ValueError(f"explore is {self.explore:g}; give at least 0 and less than {MOST_SHARE:g}")

    def _check_bounds(self) -> None:
        bound, declared = self.costs.row_bound(self.signature), self.policy.largest_unit_loss
        if bound > declared:
            raise ValueError(
                f"the policy's largest_unit_loss is {declared:,.0f}, but one row can lose {bound:,.0f}; "
                "a unit has at least one"
            )
        if self.explore and bound / self.explore > declared:
            raise ValueError(
                f"the policy's largest_unit_loss is {declared:,.0f}, but one explored row can lose "
                f"{bound:,.0f} and stands for {1 / self.explore:,.0f}; declare {bound / self.explore:,.0f} "
                "or more, or explore more"
            )

    @property
    def exploration(self) -> Exploration:
        """What a version of this task explores."""
        return Exploration(self.hidden_by, self.explore) if self.hidden_by else NO_EXPLORATION

    @property
    def slice_fields(self) -> tuple[str, ...]:
        """The fields whose values are evaluated one by one."""
        return tuple(field.name for field in self.signature.texts) if self.slices is None else self.slices

    def _check_columns(self, recipe: str, columns: Columns) -> None:
        for name in columns.fields:
            if name not in self.signature.by_name:
                raise ValueError(f"candidate '{recipe}' uses '{name}', which is not in the signature")
        if len({self.signature.by_name[name].kind for name in columns.fields}) > 1:
            raise ValueError(f"candidate '{recipe}' mixes kinds in {columns.fields}; one step sees one kind")


def _check_search(recipe: str, candidate: Candidate) -> None:
    assert candidate.search is not None
    try:
        candidate.search.check(candidate.estimator())
    except ValueError as error:
        raise ValueError(f"candidate '{recipe}': {error}") from error


def load_task(path: Path) -> Task:
    """Import the Python file at `path` and take its module-level `task`.

    The file's folder goes to the front of sys.path, as for a script. Raises ConfigError when the file is
    absent, cannot be imported, or has no Task by that name.
    """
    if not path.is_file():
        raise ConfigError(f"no task file at {path}; name the Python file that has the task")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(f"task_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except SidecarError:
        raise
    except (Exception, SystemExit) as error:  # whatever the file does wrong is its author's to mend
        raise ConfigError(
            f"{path}:{_line(path, error)}: cannot be imported: {type(error).__name__}: {error}"
        ) from error
    task = getattr(module, "task", None)
    if not isinstance(task, Task):
        raise ConfigError(f"{path} has no Task named 'task' at module level")
    return task


def _line(path: Path, error: BaseException) -> int:
    """Find the line of the file at `path` that led to `error`; 0 when it has no part in it."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 0
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 0 for frame in reversed(frames) if frame.filename == str(path)), 0)
