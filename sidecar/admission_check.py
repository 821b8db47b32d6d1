"""The admission check itself: `python -m sidecar.admission_check BUNDLE CPU_SECONDS MEMORY_BYTES`.

Run by `sidecar.admission` in a process of its own; prints the finding as JSON. From the outside in: the
bundle is whole, the graphs ask for nothing but standard operators, they load, they take and give what serving
expects, and they compute the same features alone, in a batch, and from either graph.
"""

from __future__ import annotations

import json
import math
import re
import resource
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from sidecar.admission import REFUSED_EXIT, Admitted
from sidecar.bundle import PIPELINE, TRANSFORM, Bundle, open_bundle
from sidecar.empty_graph import empty_graph
from sidecar.errors import AdmissionError, BundleError, ModelFailedError, SidecarError
from sidecar.onnx_graph import GraphFacts, read_graph
from sidecar.session import (
    DECISION,
    FEATURES,
    INTEGERS,
    NUMBERS,
    SCORE,
    TEXTS,
    Model,
    Prediction,
    feed,
    open_session,
)
from sidecar.signature import Blocks, Field, Kind, Outside, Signature
from sidecar.warm_up import WARM_UP_RUNS, warm_up_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

SAMPLE_ROWS = 64
TIMED_RUNS = 200
SCORE_TOLERANCE = 1e-6

DOMAINS = frozenset({"", "ai.onnx.ml"})
"""The standard's own operators. Those of other domains may do anything, such as read files."""
_RANDOM = "draws random numbers, so the same record would score differently"
REFUSED_OPERATORS: Mapping[str, str] = {
    "Bernoulli": _RANDOM,
    "Multinomial": _RANDOM,
    "RandomNormal": _RANDOM,
    "RandomNormalLike": _RANDOM,
    "RandomUniform": _RANDOM,
    "RandomUniformLike": _RANDOM,
    "ImageDecoder": "parses image files, which no record holds",
}
"""Standard operators that no scoring pipeline needs, and why each is refused. Loops are not among them: the
process that runs a candidate has its own limits."""

_TOO_NEW = re.compile(r"Unsupported model IR version.*|Opset \d+ is under development")


def check(path: Path) -> Admitted:
    """Check the bundle at `path` in this process. Raises SidecarError with the finding."""
    bundle = open_bundle(path)
    transform = _open(bundle, TRANSFORM, {FEATURES: "tensor(float)"})
    outputs = {FEATURES: "tensor(float)", SCORE: "tensor(float)", DECISION: "tensor(bool)"}
    pipeline = _open(bundle, PIPELINE, outputs)
    model = Model(bundle, pipeline)
    rows = sample_rows(bundle.signature, SAMPLE_ROWS)
    try:
        model.run(warm_up_row(bundle.signature))
        _check_runs(model, transform, rows)
    except ModelFailedError as error:
        raise AdmissionError(f"{error}; it must score every row that the signature allows") from error
    cpu_us = _time_in_turn((pipeline, transform, open_session(empty_graph(bundle.signature))), rows)
    data = (path / PIPELINE).read_bytes()
    median, transform_median, empty_median = np.round(np.median(cpu_us, axis=1), 1).tolist()
    return Admitted(
        model=bundle.model,
        nodes=read_graph(data).nodes,
        bytes=len(data),
        median_cpu_us=median,
        p99_cpu_us=round(float(np.quantile(cpu_us[0], 0.99)), 1),
        transform_cpu_us=transform_median,
        empty_cpu_us=empty_median,
    )


def sample_rows(signature: Signature, rows: int) -> Blocks:
    """Pseudo-random rows that fit the signature, the same on every call.

    Bounds are kept, except that a number whose outside counts as missing lies outside now and then; a
    fifth of what may be missing is.
    """
    rng = np.random.default_rng(0)
    return signature.pack_columns({field.name: _column(field, rows, rng) for field in signature.fields})


def _column(field: Field, rows: int, rng: np.random.Generator) -> list[Any]:
    missing = rng.random(rows) < (0.2 if field.missing_allowed else 0)
    values: list[Any]
    if field.kind is Kind.TEXT:
        values = rng.choice(["a", "B", "some words", "naïve", "0", "-1"], rows).tolist()
    else:
        lower, upper = _range(field)
        if field.kind is Kind.INTEGER:
            values = rng.integers(math.ceil(lower), math.floor(upper), rows, endpoint=True).tolist()
        else:
            beyond = (upper - lower) / 10 if field.outside is Outside.MISSING else 0.0
            values = rng.uniform(lower - beyond, upper + beyond, rows).tolist()
    return [None if absent else value for absent, value in zip(missing, values, strict=True)]


def _range(field: Field) -> tuple[float, float]:
    """The field's bounds; an open one lies a thousand from the other, or from zero."""
    if field.lower is not None:
        return field.lower, field.lower + 1000.0 if field.upper is None else field.upper
    upper = 1000.0 if field.upper is None else field.upper
    return min(upper, 0.0) - 1000.0, upper


def _open(bundle: Bundle, file: str, outputs: Mapping[str, str]) -> ort.InferenceSession:
    check_facts(file, read_graph((bundle.path / file).read_bytes()))
    try:
        session = open_session(bundle.path / file)
    except BundleError as error:
        too_new = _TOO_NEW.search(str(error.__cause__))
        if too_new is None:
            raise
        raise AdmissionError(
            f"{file} is too new for ONNX Runtime {ort.__version__}: {too_new[0]}; export it with an older one"
        ) from error
    _check_inputs(file, session, bundle.signature)
    made = {tensor.name: tensor.type for tensor in session.get_outputs()}
    for name, dtype in outputs.items():
        if made.get(name) != dtype:
            raise AdmissionError(f"{file} must give '{name}' as {dtype}; it gives {made}")
    return session


def check_facts(file: str, facts: GraphFacts) -> None:
    """Raise AdmissionError for a graph that asks for more than standard operators and its own tensors."""
    if facts.external_data:
        raise AdmissionError(f"{file} keeps tensors in other files; export it whole")
    for domain, operator in sorted(facts.operators):
        if domain not in DOMAINS:
            raise AdmissionError(
                f"{file} uses operator '{operator}' of domain '{domain}'; only standard ones are run"
            )
        if not domain and operator in REFUSED_OPERATORS:
            raise AdmissionError(f"{file} uses operator '{operator}', which {REFUSED_OPERATORS[operator]}")


def _check_inputs(file: str, session: ort.InferenceSession, signature: Signature) -> None:
    blocks = {
        NUMBERS: ("tensor(float)", len(signature.numbers)),
        INTEGERS: ("tensor(int64)", len(signature.integers)),
        TEXTS: ("tensor(string)", len(signature.texts)),
    }
    needed = {name: (dtype, width) for name, (dtype, width) in blocks.items() if width}
    given = {tensor.name: (tensor.type, *tensor.shape[1:]) for tensor in session.get_inputs()}
    if given != needed:
        raise AdmissionError(
            f"{file} does not take what the signature packs: it takes {_tensors(given)}; "
            f"the signature has {_tensors(needed)}"
        )


def _tensors(tensors: Mapping[str, tuple[Any, ...]]) -> str:
    return ", ".join(f"{name} {dtype} {['rows', *rest]}" for name, (dtype, *rest) in sorted(tensors.items()))


def _check_runs(model: Model, transform: ort.InferenceSession, rows: Blocks) -> None:
    together = model.run(rows)
    shapes = (together.features.shape, together.score.shape, together.decision.shape)
    needed = ((len(rows), len(model.bundle.feature_names)), (len(rows),), (len(rows),))
    if shapes != needed:
        raise AdmissionError(
            f"{PIPELINE} gives features, score and decision of shape {shapes}; needed: {needed}"
        )
    for row in range(len(rows)):
        alone = _one(model, rows, row)
        if alone.features.tobytes() != together.features[row].tobytes():
            raise AdmissionError(f"{PIPELINE} computes other features for a row alone than in a batch")
        if not abs(float(alone.score[0]) - float(together.score[row])) <= SCORE_TOLERANCE:
            raise AdmissionError(
                f"{PIPELINE} scores a row {alone.score[0]} alone and {together.score[row]} in a batch"
            )
    try:
        features: NDArray[np.float32] = transform.run([FEATURES], feed(rows))[0]
    except Exception as error:  # ONNX Runtime has no common base for what running raises
        raise ModelFailedError(f"{TRANSFORM} fails on a sample row: {error}") from error
    if features.tobytes() != together.features.tobytes():
        raise AdmissionError(f"{TRANSFORM} and {PIPELINE} compute different features from the same rows")


def _time_in_turn(sessions: Sequence[ort.InferenceSession], rows: Blocks) -> NDArray[np.float64]:
    """CPU microseconds of single rows, float64 [sessions, runs]; in turn, as noise then meets all."""
    feeds = [feed(rows.take(slice(row, row + 1))) for row in range(len(rows))]
    for session in sessions:
        for _ in range(WARM_UP_RUNS):
            session.run(None, feeds[0])
    times = np.empty((len(sessions), TIMED_RUNS))
    for run in range(TIMED_RUNS):
        for place, session in enumerate(sessions):
            start = time.thread_time_ns()
            session.run(None, feeds[run % len(feeds)])
            times[place, run] = (time.thread_time_ns() - start) / 1000
    return times


def _one(model: Model, rows: Blocks, row: int) -> Prediction:
    return model.run(rows.take(slice(row, row + 1)))


def main(path: str, cpu_seconds: str, memory_bytes: str) -> int:
    """Run the check under limits, print the finding as JSON, and return the exit code."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_seconds), int(cpu_seconds) + 1))
    resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
    try:
        finding = check(Path(path))
    except SidecarError as error:
        sys.stdout.write(json.dumps({"refused": str(error)}))
        return REFUSED_EXIT
    sys.stdout.write(json.dumps(asdict(finding)))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
