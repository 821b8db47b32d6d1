"""The model that every server under test runs: a standardised logistic regression on eight numbers.

It goes through the trainer's own export, so the graph is what the sidecar serves in earnest; the peers run
the same file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from sidecar.bundle import PIPELINE, REFERENCE, TRANSFORM, Bundle, write_bundle
from sidecar.signature import Field, Signature
from trainer.decision import ScoreThreshold
from trainer.export import compute_features, export_pipeline, export_transform
from trainer.reference import make_reference
from trainer.task import Columns, Transform
from trainer.transform import fit_transform

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NAME = "benchmark"
FIELDS = tuple(f"x{number}" for number in range(8))
SIGNATURE = Signature(tuple(Field(name) for name in FIELDS))
_SEED = 20_240_901
_TRAINING_ROWS = 2_000
_TRAINING_STEP_NS = 600 * 10**9


def sample(rows: int, seed: int) -> NDArray[np.float32]:
    """Draw rows to fit on or to ask about, float32 [rows, 8]."""
    return np.random.default_rng(seed).normal(3.0, 2.0, (rows, len(FIELDS))).astype(np.float32)


def make_bundle(root: Path, version: str) -> Bundle:
    """Fit, export and write one version below `root`; versions differ in the rows they were fitted on."""
    threshold = 0.5
    numbers = sample(_TRAINING_ROWS, _SEED + sum(version.encode()))
    weights = np.linspace(-1.0, 1.0, len(FIELDS))
    label = ((numbers - 3.0) @ weights + np.sin(numbers).sum(axis=1) > 0).astype(float)
    blocks = SIGNATURE.pack_columns({name: numbers[:, place] for place, name in enumerate(FIELDS)})
    transform = fit_transform(Transform((Columns(FIELDS, StandardScaler()),)), SIGNATURE, blocks, label)
    exported = export_transform(transform)
    features = compute_features(exported, blocks)
    classifier = LogisticRegression().fit(features, label)
    score = classifier.predict_proba(features)[:, 1].astype(np.float32)
    event_ns = np.arange(_TRAINING_ROWS) * _TRAINING_STEP_NS
    return write_bundle(
        root,
        name=NAME,
        version=version,
        signature=SIGNATURE,
        feature_names=transform.feature_names,
        files={
            PIPELINE: export_pipeline(transform, classifier, ScoreThreshold(threshold)),
            TRANSFORM: exported,
            REFERENCE: make_reference(SIGNATURE, blocks, event_ns, score, score > threshold).to_bytes(),
        },
        facts={"made_by": "benchmarks"},
    )
