"""What converts without complaint and then computes something else, or computes something useless.

Found by measurement with scikit-learn 1.9 and skl2onnx 1.20. The parity check would catch most of these, but
only on rows that show the difference, and without saying what to use instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer.errors import ExportError
from trainer.steps.numeric import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Rule = tuple[str, "Callable[[Any], bool]", str]


def _always(_: Any) -> bool:
    return True


_NAMES = ", ".join(f"np.{func.__name__}" for func in FUNCTIONS)

_STEPS: tuple[_Rule, ...] = (
    ("KNNImputer", _always, "the export finds other neighbours; use SimpleImputer"),
    (
        "OneHotEncoder",
        lambda step: step.handle_unknown == "error",
        "an unseen category would fail here and count as none when served; use handle_unknown='ignore'",
    ),
    (
        "OrdinalEncoder",
        lambda step: step.handle_unknown != "use_encoded_value",
        "an unseen category would fail here; use handle_unknown='use_encoded_value', unknown_value=-1",
    ),
    (
        "FunctionTransformer",
        lambda step: step.func is not None and step.func not in FUNCTIONS,
        f"a Python function has no export; use one of {_NAMES}, or compute the field before it is sent",
    ),
    ("SplineTransformer", _always, "it has no exact export; use KBinsDiscretizer"),
    (
        "QuantileTransformer",
        lambda step: step.output_distribution != "uniform",
        "the normal output has no export; use output_distribution='uniform'",
    ),
)

_CLASSIFIERS: tuple[_Rule, ...] = (
    (
        "HistGradientBoostingClassifier",
        lambda model: getattr(model, "is_categorical_", None) is not None,
        "the export ignores categorical_features; use OrdinalEncoder in the transform",
    ),
    (
        "CalibratedClassifierCV",
        lambda model: model.method != "sigmoid",
        "isotonic and temperature calibration have no exact export; use method='sigmoid'",
    ),
)


def refuse_step(step: Any, where: str) -> None:
    """Raise ExportError when `step`, or a step inside it, is known not to export exactly."""
    _refuse(step, where, _STEPS)


def refuse_classifier(model: Any, where: str) -> None:
    """Raise ExportError when fitted `model`, or a part of it, is known not to export exactly."""
    _refuse(model, where, _STEPS + _CLASSIFIERS)


def _refuse(thing: Any, where: str, rules: tuple[_Rule, ...]) -> None:
    for inner in _within(thing):
        for name, applies, why in rules:
            if type(inner).__name__ == name and applies(inner):
                raise ExportError(f"{where}: {name} is refused: {why}")


def _within(thing: Any) -> Iterator[Any]:
    """`thing` and every estimator among its parameters."""
    yield thing
    for value in thing.get_params(deep=True).values():
        if hasattr(value, "get_params"):
            yield value
