"""From a snapshot and a recipe to a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidecar.bundle import RECIPE
from trainer.errors import ExportError
from trainer.export import export_model
from trainer.learn import prepare
from trainer.offline import FitReport, choose_rule, divide, judge, measure, plain, run_pipeline
from trainer.packing import Parts, holdout_facts, pack, time_bundle
from trainer.parity import check_parity
from trainer.recipes import recipe_digest
from trainer.search import with_setting
from trainer.tries import search

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sidecar.bundle import Bundle
    from trainer.snapshot import Snapshot
    from trainer.task import Candidate, Task
    from trainer.tries import Searched


@dataclass(frozen=True)
class Fitted:
    """A bundle and how it did. searched: None where the recipe has no search."""

    bundle: Bundle
    report: FitReport
    searched: Searched | None


def fit_candidate(
    task: Task,
    recipe: str,
    snapshot: Snapshot,
    *,
    bundles: Path,
    version: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Fitted:
    """Make a bundle of `recipe` from `snapshot` below `bundles`.

    The recipe is fitted twice. First on the rows that had matured when the last `task.holdout` began: the
    hold-out's figures are of that fit, through its exported graph. Then on all rows, and that is what ships;
    so the figures are of the recipe, not of the very model. With the `Threshold` rule the earlier half of the
    hold-out chooses the threshold, and the figures are of the later half. Where the recipe has a search, the
    setting is chosen before either, on rows that had matured when the hold-out began.

    The same snapshot, recipe and libraries give the same bundle. version: by default the recipe's name and
    the snapshot's digest. progress: told each stage as it begins.
    Raises ExportError when the recipe cannot be fitted or exported exactly, or the snapshot has too few rows.
    """
    if recipe not in task.candidates:
        raise ExportError(f"no candidate '{recipe}'; the task has {', '.join(task.candidates)}")
    if snapshot.signature.digest != task.signature.digest:
        raise ExportError("the snapshot has another signature than the task; take a new snapshot")
    candidate = task.candidates[recipe]
    known, split = divide(task, snapshot)
    past = snapshot.oldest(known)
    searched = search(task, recipe, past, progress)
    setting = searched.setting if searched else {}

    progress(f"{recipe}: fitting on {known} rows to measure on the {len(snapshot.label) - split} newest")
    early = prepare(task, candidate.transform, past).fit(with_setting(candidate.estimator(), setting))
    rule, measured_from = choose_rule(task, early.pipeline, snapshot, split)
    held_out = run_pipeline(early.pipeline(rule), snapshot.blocks.take(slice(measured_from, None)))
    measured = measure(judge(task, snapshot, held_out))

    progress(f"{recipe}: fitting on all {len(snapshot.label)} rows")
    final = prepare(task, candidate.transform, snapshot).fit(with_setting(candidate.estimator(), setting))
    pipeline = final.pipeline(rule)

    progress(f"{recipe}: comparing the export with scikit-learn")
    width = len(final.transform.feature_names)
    files = final.exported, export_model(final.model, width), pipeline
    parity = check_parity(final.transform, final.model, files, snapshot.blocks)
    bundle = pack(
        task,
        snapshot,
        Parts(final.exported, pipeline, final.transform.feature_names, rule, held_out),
        bundles=bundles,
        version=version or f"{recipe}-{snapshot.digest[:8]}",
        facts={
            "recipe": recipe,
            RECIPE: recipe_digest(task, recipe),
            "estimator": _describe(final.model),
            **({"search": searched.to_json()} if searched else {}),
            "transform": describe_transform(candidate),
            "training": {
                "rows": len(snapshot.label),
                "first_event_ns": int(snapshot.event_ns[0]),
                "last_event_ns": int(snapshot.event_ns[-1]),
            },
            "holdout": holdout_facts(
                measured,
                of_recipe=True,
                note="of the recipe fitted on what was known before it; what ships was fitted on all rows",
            ),
            "parity": parity.to_json(),
        },
    )
    progress(f"{recipe}: timing single rows")
    return Fitted(bundle, FitReport.of(measured, time_bundle(bundle, snapshot)), searched)


def describe_transform(candidate: Candidate) -> list[dict[str, Any]]:
    """What the manifest says of a recipe's transform."""
    return [
        {"fields": list(columns.fields), "step": repr(columns.step)}
        for columns in candidate.transform.columns
    ]


def _describe(model: Any) -> dict[str, Any]:
    parameters = {name: plain(value) for name, value in sorted(model.get_params(deep=False).items())}
    return {"class": f"{type(model).__module__}.{type(model).__qualname__}", "parameters": parameters}
