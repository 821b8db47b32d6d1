"""From somebody else's ONNX graph to a bundle that is shadowed, judged and promoted like any other.

    raw blocks ─▶ recipe's transform ─▶ "features" ─▶ given graph ─▶ "score" ─▶ task's rule ─▶ "decision"
    raw blocks ───────────────────────────────────▶ given graph ─▶ "score" ─▶ task's rule ─▶ "decision"

The recipe's transform is the one that `trainer fit` makes of the same snapshot, so there is one feature path.
A graph that takes raw blocks shows "features" of its own, or its numbers stand there.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.admission import admit
from sidecar.bundle import PIPELINE, REFERENCE, TRANSFORM, Bundle, write_bundle
from sidecar.errors import AdmissionError
from sidecar.session import FEATURES, NUMBERS, feed
from sidecar.signature import Blocks
from trainer.days import iso_day
from trainer.decision import UtilityRule
from trainer.errors import ExportError
from trainer.export import compute_features, export_transform, write_pipeline
from trainer.fit import describe_transform
from trainer.foreign import OwnDecision, read_features_model, read_raw_model
from trainer.foreign_parity import check_foreign
from trainer.golden import TOLERANCE, Likeness, compare, read_golden
from trainer.graph import Graph, block_inputs, decision_info, features_info, score_info
from trainer.offline import Scored, choose_rule, holdout_begins, judge, measure, run_pipeline
from trainer.packing import Parts, holdout_facts, pack, time_bundle
from trainer.task import Threshold
from trainer.transform import fit_transform, write_bounds
from trainer.utility import usable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from trainer.export import Rule
    from trainer.foreign import Foreign
    from trainer.offline import Measured, Timed
    from trainer.snapshot import Snapshot
    from trainer.task import Task


@dataclass(frozen=True)
class Given:
    """What is registered. recipe: whose features the graph takes; None when it takes raw blocks.

    score: the output with the probability, None where only one may be it. trained_until_ns: the newest event
    that it was fitted on, None where nobody says. golden: a file of rows with the original's scores.
    """

    path: Path
    recipe: str | None = None
    score: str | None = None
    trained_until_ns: int | None = None
    golden: Path | None = None
    tolerance: float = TOLERANCE
    version: str | None = None


@dataclass(frozen=True)
class Registered:
    """A bundle and what is known of it.

    measured: None where the hold-out cannot say; unknown: why not, "" where it can.
    """

    bundle: Bundle
    measured: Measured | None
    timed: Timed
    golden: Likeness | None
    unknown: str


def register_model(
    task: Task,
    given: Given,
    snapshot: Snapshot,
    *,
    bundles: Path,
    progress: Callable[[str], None] = lambda _: None,
) -> Registered:
    """Make a bundle of a given graph below `bundles`; the snapshot gives transform, profile and hold-out.

    The same file, snapshot, options and libraries give the same bundle. progress: told each stage as it
    begins. Raises ExportError, AdmissionError or BundleError with one line that names what does not fit.
    """
    if snapshot.signature.digest != task.signature.digest:
        raise ExportError("the snapshot has another signature than the task; take a new snapshot")
    form = _with_recipe(task, given, snapshot) if given.recipe else _raw(task, given)
    foreign, export = form.foreign, form.export
    split = int(np.searchsorted(snapshot.event_ns, holdout_begins(task, snapshot), side="right"))
    unknown = _unknown(task, given, snapshot)
    own = OwnDecision(foreign, form.sources) if foreign.decides else None
    if isinstance(task.decision, Threshold) and unknown and own is None:
        raise ExportError(
            f"the task's threshold is chosen on rows that the model was not fitted on, but {unknown}; "
            "give --trained-until and a --snapshot with a later hold-out"
        )

    progress(f"{given.path.name}: admission check")
    _admit(task, given, form, export(own or UtilityRule(task.signature, task.costs)))

    progress(f"{given.path.name}: comparing the bundle with the file")
    rule, measured_from = (own, split) if own else choose_rule(task, export, snapshot, split)
    pipeline = export(rule)
    bundled = run_pipeline(pipeline, snapshot.blocks)
    alike = check_foreign(foreign, form.feed(snapshot.blocks), bundled, snapshot)
    golden = _check_golden(task, given, pipeline)
    held_out = Scored(bundled.score[measured_from:], bundled.decision[measured_from:])
    measured = None if unknown else measure(judge(task, snapshot, held_out))
    bundle = pack(
        task,
        snapshot,
        Parts(form.transform, pipeline, form.feature_names, rule, held_out),
        bundles=bundles,
        version=given.version or f"{given.path.stem}-{snapshot.digest[:8]}",
        facts={
            "given": foreign.to_json(),
            "recipe": given.recipe,
            "transform": describe_transform(task.candidates[given.recipe]) if given.recipe else None,
            "training": None if given.trained_until_ns is None else {"last_event_ns": given.trained_until_ns},
            "holdout": None
            if measured is None
            else holdout_facts(measured, of_recipe=False, note="of the model itself, fitted on earlier rows"),
            "unknown": unknown,
            "parity": {
                "file": alike.to_json(),
                "golden": golden and {**golden.to_json(), "tolerance": given.tolerance},
            },
        },
    )
    progress(f"{given.path.name}: timing single rows")
    return Registered(bundle, measured, time_bundle(bundle, snapshot), golden, unknown)


@dataclass(frozen=True, eq=False)
class _Form:
    """A given graph with what stands before it.

    sources: the tensor of our graph that feeds each of its inputs. feed: the same for running it by itself.
    """

    foreign: Foreign
    sources: Mapping[str, str]
    transform: bytes
    feature_names: tuple[str, ...]
    export: Callable[[Rule], bytes]
    feed: Callable[[Blocks], dict[str, NDArray[Any]]]


def _with_recipe(task: Task, given: Given, snapshot: Snapshot) -> _Form:
    recipe = str(given.recipe)
    if recipe not in task.candidates:
        raise ExportError(f"no candidate '{recipe}'; the task has {', '.join(task.candidates)}")
    fitted = fit_transform(task.candidates[recipe].transform, task.signature, snapshot.blocks, snapshot.label)
    transform = export_transform(fitted)
    foreign = read_features_model(given.path, len(fitted.feature_names), given.score)
    sources = dict.fromkeys(foreign.takes, FEATURES)
    return _Form(
        foreign=foreign,
        sources=sources,
        transform=transform,
        feature_names=fitted.feature_names,
        export=lambda rule: write_pipeline(fitted, lambda graph: foreign.write_score(graph, sources), rule),
        feed=lambda blocks: dict.fromkeys(foreign.takes, compute_features(transform, blocks)),
    )


def _raw(task: Task, given: Given) -> _Form:
    signature = task.signature
    foreign = read_raw_model(given.path, signature, given.score)
    if not foreign.features and not signature.numbers:
        raise ExportError(
            f"{foreign.file} gives no 'features', and the task has no numbers that could stand for them"
        )
    names = (
        tuple(f"feature_{place}" for place in range(foreign.features))
        if foreign.features
        else tuple(field.name for field in signature.numbers)
    )
    numbers = write_bounds(Graph(), signature)  # its name is the same in every graph that begins with it
    sources = {name: numbers if name == NUMBERS else name for name in foreign.takes}

    def begin() -> Graph:
        graph = Graph()
        write_bounds(graph, signature)
        shown = graph.inline(foreign.model, sources, FEATURES, fold=False) if foreign.features else numbers
        graph.name_output(shown, FEATURES)
        return graph

    def export(rule: Rule) -> bytes:
        graph = begin()
        rule.write(graph, foreign.write_score(graph, sources), numbers)
        outputs = [features_info(len(names)), score_info(), decision_info()]
        return graph.finish(block_inputs(signature), outputs)

    def take(blocks: Blocks) -> dict[str, NDArray[Any]]:
        bounded = Blocks(usable(signature, blocks), blocks.integers, blocks.texts)
        return {name: block for name, block in feed(bounded).items() if name in foreign.takes}

    transform = begin().finish(block_inputs(signature), [features_info(len(names))])
    return _Form(foreign, sources, transform, names, export, take)


def _unknown(task: Task, given: Given, snapshot: Snapshot) -> str:
    """Why the hold-out says nothing of this model; "" where it does."""
    begins_ns = holdout_begins(task, snapshot)
    if given.trained_until_ns is None:
        return "it is not declared what it was fitted on"
    if given.trained_until_ns <= begins_ns:
        return ""
    until, begins = iso_day(given.trained_until_ns), iso_day(begins_ns)
    return f"it was fitted on rows up to {until}, and the hold-out begins on {begins}"


def _admit(task: Task, given: Given, form: _Form, pipeline: bytes) -> None:
    """Let the child process run the graphs before this one does, as a bundle that nobody keeps."""
    with tempfile.TemporaryDirectory() as folder:
        trial = write_bundle(
            Path(folder),
            name=task.name,
            version="trial",
            signature=task.signature,
            feature_names=form.feature_names,
            files={PIPELINE: pipeline, TRANSFORM: form.transform, REFERENCE: b""},
            facts={},
        )
        try:
            admit(trial.path)
        except AdmissionError as error:
            raise AdmissionError(f"{given.path.name} is not admitted: {error}") from error


def _check_golden(task: Task, given: Given, pipeline: bytes) -> Likeness | None:
    if given.golden is None:
        return None
    golden = read_golden(given.golden, task.signature)
    score = run_pipeline(pipeline, golden.blocks).score
    return compare(golden, score, task.signature, given.tolerance)
