"""From the parts of a model to its bundle: the files, and the facts that every manifest has."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from sidecar.bundle import EXPLORATION, PIPELINE, REFERENCE, TRANSFORM, Bundle, write_bundle
from sidecar.session import load_model
from trainer.importance import importance_of
from trainer.offline import Timed, plain
from trainer.reference import make_reference
from trainer.timing import time_single_rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainer.export import Rule
    from trainer.offline import Measured, Scored
    from trainer.snapshot import Snapshot
    from trainer.task import Task

TIMED_RUNS = 2000
_LIBRARIES = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy", "scipy")


@dataclass(frozen=True, eq=False)
class Parts:
    """What a bundle is made of. transform, pipeline: the graphs.

    held_out: what the model makes of the newest rows of the snapshot, as rows it was not fitted on.
    """

    transform: bytes
    pipeline: bytes
    feature_names: tuple[str, ...]
    rule: Rule
    held_out: Scored


def pack(
    task: Task, snapshot: Snapshot, parts: Parts, *, bundles: Path, version: str, facts: Mapping[str, Any]
) -> Bundle:
    """Write the bundle below `bundles`. facts: what else its manifest shall say."""
    held_out = parts.held_out
    reference = make_reference(
        task.signature, snapshot.blocks, snapshot.event_ns, held_out.score, held_out.decision
    )
    return write_bundle(
        bundles,
        name=task.name,
        version=version,
        signature=task.signature,
        feature_names=parts.feature_names,
        files={PIPELINE: parts.pipeline, TRANSFORM: parts.transform, REFERENCE: reference.to_bytes()},
        facts={
            **facts,
            "decision": parts.rule.to_json(),
            **({EXPLORATION: task.exploration.to_json()} if task.explore else {}),
            "costs": task.costs.to_json(),
            "costs_digest": task.costs.digest,
            "snapshot": snapshot.digest,
            "importance": importance_of(parts.pipeline, task.signature, snapshot.blocks),
            "libraries": {
                "python": platform.python_version(),
                **{name: metadata.version(name) for name in _LIBRARIES},
            },
        },
    )


def holdout_facts(measured: Measured, *, of_recipe: bool, note: str) -> dict[str, Any]:
    """What the manifest says of the hold-out."""
    figures = {name: plain(value) for name, value in asdict(measured).items()}
    return {"of_recipe": of_recipe, "note": note, **figures}


def time_bundle(bundle: Bundle, snapshot: Snapshot) -> Timed:
    """Measure what one row costs through the bundle's pipeline."""
    timing = time_single_rows(load_model(bundle.path), snapshot.blocks, TIMED_RUNS)
    size = (bundle.path / PIPELINE).stat().st_size
    return Timed(cpu_us_p50=timing.cpu_us_p50, cpu_us_p99=timing.cpu_us_p99, bytes=size)
