"""The model that every server under test runs: a standardised logistic regression on eight numbers.

It goes through the trainer's own export, so the graph is what the sidecar serves in earnest; the peers run
the same file.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from sidecar.bundle import PIPELINE, REFERENCE, TRANSFORM, Bundle, write_bundle
from sidecar.signature import Field, Signature
from trainer.decision import ScoreThreshold
from trainer.export import compute_features, export_pipeline, export_transform
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


def sample(rows: int, seed: int) -> NDArray[np.float32]:
    """Draw rows to fit on or to ask about, float32 [rows, 8]."""
    return np.random.default_rng(seed).normal(3.0, 2.0, (rows, len(FIELDS))).astype(np.float32)


def make_bundle(root: Path, version: str) -> Bundle:
    """Fit, export and write one version below `root`; versions differ in the rows they were fitted on."""
    numbers = sample(_TRAINING_ROWS, _SEED + sum(version.encode()))
    weights = np.linspace(-1.0, 1.0, len(FIELDS))
    label = ((numbers - 3.0) @ weights + np.sin(numbers).sum(axis=1) > 0).astype(float)
    blocks = SIGNATURE.pack_columns({name: numbers[:, place] for place, name in enumerate(FIELDS)})
    transform = fit_transform(Transform((Columns(FIELDS, StandardScaler()),)), SIGNATURE, blocks, label)
    exported = export_transform(transform)
    classifier = LogisticRegression().fit(compute_features(exported, blocks), label)
    reference = io.BytesIO()
    np.savez(reference, rows=np.array([0]))
    return write_bundle(
        root,
        name=NAME,
        version=version,
        signature=SIGNATURE,
        feature_names=transform.feature_names,
        files={
            PIPELINE: export_pipeline(transform, classifier, ScoreThreshold(0.5)),
            TRANSFORM: exported,
            REFERENCE: reference.getvalue(),
        },
        facts={"made_by": "benchmarks"},
    )
