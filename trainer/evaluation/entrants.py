"""Which versions take part in an evaluation, and why others do not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sidecar.errors import BundleError, InvalidRequestError, NotFoundError, SidecarError
from sidecar.lifecycle import ModelState
from sidecar.session import load_model
from trainer.evaluation.run import Entrant
from trainer.fitted_until import may_know_until_ns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidecar.lifecycle import Version
    from sidecar.registry import Registry
    from trainer.task import Task

_UNSAFE = {
    ModelState.REGISTERED: "it has not passed the admission check",
    ModelState.REFUSED: "it failed the admission check",
}


def find_entrants(
    task: Task, registry: Registry, wanted: Sequence[str] = ()
) -> tuple[list[Entrant], Mapping[str, str]]:
    """The versions that are wanted, or all of the task's, newest first behind the champion.

    wanted: names of versions, or beginnings of digests. Also given: why versions of the task are left out, by
    name. Only what passed admission is run here, because a graph can bring the process down.
    Raises NotFoundError when none is left, and SidecarError saying why one that is wanted cannot be run.
    """
    known = [version for version in registry.versions() if version.model.name == task.name]
    chosen = [_find(registry, known, one) for one in wanted] if wanted else known
    chosen = list({version.model.digest: version for version in chosen}.values())
    names = _names(known)
    entrants, left_out = [], {}
    for version in sorted(chosen, key=lambda version: version.state is not ModelState.CHAMPION):
        name = names.get(version.model.digest, str(version.model))
        try:
            entrants.append(_enter(task, version, name))
        except SidecarError as error:
            if wanted:
                raise
            left_out[name] = str(error)
    if not entrants:
        raise NotFoundError(f"task {task.name!r} has no version that can be run; fit and admit one first")
    return entrants, left_out


def _enter(task: Task, version: Version, name: str) -> Entrant:
    if version.state in _UNSAFE:
        raise BundleError(f"{version.model} is not run: {_UNSAFE[version.state]}")
    if version.signature_digest != task.signature.digest:
        raise BundleError(f"{version.model} is not run: it expects other fields than task {task.name!r} has")
    model = load_model(version.path)
    return Entrant(name, version.state.value, model, may_know_until_ns(model.bundle, version))


def _find(registry: Registry, known: Sequence[Version], wanted: str) -> Version:
    named = [version for version in known if version.model.version == wanted]
    if len(named) > 1:
        raise InvalidRequestError(f"{len(named)} versions are called {wanted!r}; give a digest")
    return named[0] if named else registry.find(wanted)


def _names(versions: Sequence[Version]) -> dict[str, str]:
    """One name for each digest: the version's, with the digest's beginning where others share it."""
    often = Counter(version.model.version for version in versions)
    return {
        model.digest: model.version if often[model.version] == 1 else f"{model.version}@{model.digest[:8]}"
        for model in (version.model for version in versions)
    }
