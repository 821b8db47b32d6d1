"""`python -m trainer.conformance`: what exports exactly, what does not, and by how much, as a page.

Every case is fitted, exported and compared with scikit-learn over real-looking and adversarial rows, by the
same checks that stand before every bundle. What the page says is what came of it.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from sidecar.session import FEATURES, feed, open_session
from sidecar.signature import Blocks
from trainer.adversary import adversarial_rows
from trainer.conformance_cases import ESTIMATORS, ROWS, SIGNATURE, STEPS, make_rows
from trainer.decision import ScoreThreshold
from trainer.errors import ExportError
from trainer.export import compute_features, export_model, export_pipeline, export_transform
from trainer.parity import BATCHES, check_batches, check_features, check_parity
from trainer.seed import seed
from trainer.task import Columns, Transform
from trainer.transform import fit_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

_HEAD = """\
<!-- Made by `python -m trainer.conformance > docs/conformance.md`; not edited by hand. -->

# What exports exactly

Every step and estimator below was fitted on {rows:,} rows, exported, and compared with scikit-learn on those
rows and on {nasty} chosen to break it: missing, -0.0, the bounds and both their float neighbours, far out,
integers about 2^24 and 2^53, dates before 1970, texts unseen, blank, long and not ASCII. (An infinity never
reaches a graph: the request that brings one is refused.) The same check stands before every bundle, on the
rows of its own snapshot; what fails it is refused.

Made with {libraries}.
"""
_STEPS = """\
## Steps

The largest difference of a feature, relative where the feature exceeds 1, after allowing for what one float32
step of the raw value changes. Every feature is the same bits alone and in batches of any size.
"""
_ESTIMATORS = """\
## Estimators

The largest difference of a score; for trees also over rows on both sides of their thresholds. Last column:
how many rows score other bits in batches of {batches} rows than all at once. Where it is 0,
a logged row is scored again to the bit.
"""
_LIBRARIES = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy")


@dataclass(frozen=True)
class Outcome:
    """What came of one case. difference: of features or scores, the largest. refused: what was said, or "".

    rows_differ: how many of all rows scored other bits in batches of other sizes.
    """

    name: str
    refused: str = ""
    features: int = 0
    difference: float = 0.0
    rows_differ: int = 0


def main() -> None:
    """Print the page."""
    sys.stdout.write(render(ROWS))


def render(rows: int) -> str:
    """The whole page, measured over so many rows."""
    blocks, label = make_rows(rows)
    steps, estimators = try_steps(blocks, label), try_estimators(blocks, label)
    libraries = ", ".join(f"{name} {metadata.version(name)}" for name in _LIBRARIES)
    nasty = len(adversarial_rows(SIGNATURE, blocks))
    batches = f"{', '.join(map(str, BATCHES[:-1]))} and {BATCHES[-1]}"
    parts = (
        _HEAD.format(rows=rows, nasty=nasty, libraries=libraries),
        _STEPS,
        _table(
            ("step", "features", "largest difference"),
            [(each.name, f"{each.features}", _figure(each.difference)) for each in steps if not each.refused],
        ),
        "## Steps that are refused\n",
        _table(("step", "what is said"), [(each.name, each.refused) for each in steps if each.refused]),
        _ESTIMATORS.format(batches=batches),
        _table(
            ("estimator", "largest difference", "rows that differ"),
            [
                (each.name, _figure(each.difference), f"{each.rows_differ:,}")
                for each in estimators
                if not each.refused
            ],
        ),
        "## Estimators that are refused\n",
        _table(
            ("estimator", "what is said"), [(each.name, each.refused) for each in estimators if each.refused]
        ),
    )
    return "\n".join(parts)


def try_steps(blocks: Blocks, label: NDArray[Any]) -> list[Outcome]:
    """Fit, export and compare every step."""

    def try_step(columns: Columns) -> Callable[[], Outcome]:
        def attempt() -> Outcome:
            transform = fit_transform(Transform((columns,)), SIGNATURE, blocks, label)
            every = Blocks.concat([blocks, adversarial_rows(SIGNATURE, blocks)])
            run = open_session(export_transform(transform)).run
            (features,) = run([FEATURES], feed(every))
            difference = check_features(transform, features, every)
            check_batches(transform, run, every, features)
            return Outcome("", features=features.shape[1], difference=difference)

        return attempt

    return [_tried(case.name, try_step(Columns(case.fields, case.step))) for case in STEPS]


def try_estimators(blocks: Blocks, label: NDArray[Any]) -> list[Outcome]:
    """Fit, export and compare every estimator, on the features of an exported transform."""

    def try_estimator(make: Callable[[], Any], transform: Transform) -> Callable[[], Outcome]:
        def attempt() -> Outcome:
            fitted = fit_transform(transform, SIGNATURE, blocks, label)
            exported = export_transform(fitted)
            model = seed(make())
            with threadpool_limits(limits=1), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a few iterations are enough to compare
                model.fit(compute_features(exported, blocks), label.astype(int))
            alone = export_model(model, len(fitted.feature_names))
            files = exported, alone, export_pipeline(fitted, model, ScoreThreshold(0.5))
            parity = check_parity(fitted, model, files, blocks)
            return Outcome(
                "",
                features=len(fitted.feature_names),
                difference=parity.score_difference,
                rows_differ=parity.batched_rows_differ,
            )

        return attempt

    return [_tried(case.name, try_estimator(case.make, case.transform)) for case in ESTIMATORS]


def _tried(name: str, attempt: Callable[[], Outcome]) -> Outcome:
    try:
        outcome = attempt()
    except ExportError as error:
        return Outcome(name, refused=str(error))
    return Outcome(name, "", outcome.features, outcome.difference, outcome.rows_differ)


def _figure(difference: float) -> str:
    return f"{difference:.1e}" if difference else "0"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---", *["---:" if len(head) > 2 else "---"] * (len(head) - 1)]  # noqa: PLR2004 - figures stand right
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows]) + "\n"


if __name__ == "__main__":
    main()
