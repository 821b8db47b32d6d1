"""The models whose rows the log benchmark writes: thirty raw fields, thirty features, a linear score.

Two shapes, because what a row costs on disk depends on what is in it:

    mixed    12 numbers with 5 % missing (six measured to full float32 precision, six whole), imputed; six
             whole counts; twelve categories of 4 to 400 words, as ordinal codes. Like a table of customers,
             orders or flights
    full     30 numbers of full float32 precision, standardised: no column repeats a value, and no feature
             equals its field. The dearest row there is
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from sidecar.bundle import PIPELINE, REFERENCE, TRANSFORM, Bundle, write_bundle
from sidecar.signature import Blocks, Field, Kind, Signature
from trainer.decision import ScoreThreshold
from trainer.export import compute_features, export_pipeline, export_transform
from trainer.task import Columns, Transform
from trainer.transform import fit_transform

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

FEATURES = 30
_TRAINING_ROWS = 4_000
_MISSING = 0.05
_VOCABULARY = (4, 4, 6, 6, 8, 12, 12, 24, 50, 100, 200, 400)
_MEASURED = tuple(f"measured_{number}" for number in range(6))
_WHOLE = tuple(f"whole_{number}" for number in range(6))
_COUNTS = tuple(f"count_{number}" for number in range(6))
_WORDS = tuple(f"category_{number}" for number in range(len(_VOCABULARY)))
_FULL = tuple(f"x{number}" for number in range(FEATURES))


@dataclass(frozen=True)
class Shape:
    """What rows look like. rows: draws so many with a generator."""

    name: str
    label: str
    signature: Signature
    transform: Transform

    def rows(self, count: int, rng: Generator) -> Blocks:
        """Draw raw rows."""
        return _full_rows(count, rng) if self.name == "full" else _mixed_rows(count, rng)


MIXED = Shape(
    "mixed",
    "12 numbers (six of full float32 precision, six whole, 5 % missing), 6 counts, 12 categories; imputed "
    "and as codes",
    Signature(
        (
            *(Field(name, missing_allowed=True) for name in (*_MEASURED, *_WHOLE)),
            *(Field(name, Kind.INTEGER, lower=0, upper=1_000_000) for name in _COUNTS),
            *(Field(name, Kind.TEXT) for name in _WORDS),
        )
    ),
    Transform(
        (
            Columns((*_MEASURED, *_WHOLE), SimpleImputer(strategy="median")),
            Columns(_COUNTS),
            Columns(_WORDS, OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)),
        )
    ),
)
FULL = Shape(
    "full",
    "30 numbers of full float32 precision, standardised: nothing repeats, the dearest row there is",
    Signature(tuple(Field(name) for name in _FULL)),
    Transform((Columns(_FULL, StandardScaler()),)),
)
SHAPES = (MIXED, FULL)


def make_bundle(root: Path, shape: Shape, version: str) -> Bundle:
    """Fit, export and write one version below `root`; versions differ in the rows they were fitted on."""
    rng = np.random.default_rng(sum(version.encode()))
    blocks = shape.rows(_TRAINING_ROWS, rng)
    transform = fit_transform(shape.transform, shape.signature, blocks, np.zeros(_TRAINING_ROWS))
    exported = export_transform(transform)
    features = compute_features(exported, blocks)
    center, scale = features.mean(axis=0), features.std(axis=0)
    standard = (features - center) / scale
    label = standard @ rng.normal(size=FEATURES) + rng.logistic(size=_TRAINING_ROWS) > 0
    classifier = LogisticRegression(C=0.01).fit(standard, label)
    # The same for features as they are: scores that differ from row to row, as a log's do.
    classifier.coef_ = classifier.coef_ / scale
    classifier.intercept_ = classifier.intercept_ - classifier.coef_ @ center
    reference = io.BytesIO()
    np.savez(reference, rows=np.array([0]))
    return write_bundle(
        root,
        name=f"log-{shape.name}",
        version=version,
        signature=shape.signature,
        feature_names=transform.feature_names,
        files={
            PIPELINE: export_pipeline(transform, classifier, ScoreThreshold(0.5)),
            TRANSFORM: exported,
            REFERENCE: reference.getvalue(),
        },
        facts={"made_by": "benchmarks"},
    )


def _mixed_rows(count: int, rng: Generator) -> Blocks:
    measured = rng.normal(40.0, 12.0, (count, len(_MEASURED)))
    whole = rng.poisson(np.linspace(2, 300, len(_WHOLE)), (count, len(_WHOLE)))
    numbers = np.concatenate([measured, whole], axis=1).astype(np.float32)
    numbers[rng.random(numbers.shape) < _MISSING] = np.nan
    counts = rng.poisson(np.linspace(1, 2_000, len(_COUNTS)), (count, len(_COUNTS)))
    texts = np.empty((count, len(_VOCABULARY)), object)
    for place, words in enumerate(_VOCABULARY):
        # A few words are common and most are rare, as in life.
        chosen = np.minimum(rng.zipf(1.4, count) - 1, words - 1)
        texts[:, place] = np.array([f"word-{word}" for word in range(words)], object)[chosen]
    return Blocks(numbers, counts.astype(np.int64), texts)


def _full_rows(count: int, rng: Generator) -> Blocks:
    numbers = rng.normal(3.0, 2.0, (count, FEATURES)).astype(np.float32)
    return Blocks(numbers, np.empty((count, 0), np.int64), _no_texts(count))


def _no_texts(count: int) -> NDArray[Any]:
    return np.empty((count, 0), object)
