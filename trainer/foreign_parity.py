"""Whether a bundle scores as the file that it was made of, and whether that is a probability at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.session import open_session
from trainer.errors import ExportError
from trainer.golden import TOLERANCE, Likeness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from trainer.foreign import Foreign
    from trainer.offline import Scored
    from trainer.snapshot import Snapshot

SURE = 1e-6
"""How far apart two classes must be before the given label must name the likelier one."""
SUM_ERROR = 1e-3
"""How far from 1 the probabilities of both classes may add up to, after rounding."""


def check_foreign(
    foreign: Foreign, inputs: Mapping[str, NDArray[Any]], bundled: Scored, snapshot: Snapshot
) -> Likeness:
    """Compare what the bundle makes of all rows of a snapshot with what the given file makes of them.

    inputs: of the file, for those rows. Raises ExportError naming a row whose score is no probability, or
    what the classes are instead of 0 and 1, or by how much the scores differ.
    """
    names = [foreign.probability.output, *([foreign.label] if foreign.label else [])]
    found, *labels = open_session(foreign.data).run(names, inputs)
    by_class, score = _matrix(found), bundled.score
    _check_scores(foreign, score, snapshot)
    if by_class.shape[1] > 1:
        if np.abs(by_class.sum(axis=1) - 1).max() > SUM_ERROR:
            raise ExportError(
                f"the two columns of '{names[0]}' of {foreign.file} do not add up to 1; end it with a softmax"
            )
        sure = np.abs(by_class[:, 1] - by_class[:, 0]) > SURE
        if labels and (labels[0] != by_class.argmax(axis=1))[sure].any():
            raise ExportError(
                f"'{foreign.label}' of {foreign.file} is not the number of the likelier column of "
                f"'{names[0]}'; fit the model on labels 0 and 1"
            )
    difference = float(np.abs(by_class[:, -1] - score).max())
    if difference > TOLERANCE:
        raise ExportError(
            f"the bundle scores up to {difference:.2g} otherwise than {foreign.file} by itself; "
            "report this as a bug"
        )
    return Likeness(len(score), difference)


def _matrix(found: Any) -> NDArray[np.float32]:
    """The probabilities as the given file gives them: float32 [n, 1], or [n, 2] by class."""
    if isinstance(found, list):
        return np.array([[row[0], row[1]] for row in found], np.float32)
    return np.asarray(found).reshape(len(found), -1)


def _check_scores(foreign: Foreign, score: NDArray[np.float32], snapshot: Snapshot) -> None:
    odd = np.flatnonzero(~((score >= 0) & (score <= 1)))
    if not len(odd):
        return
    row = int(odd[0])
    missing = [
        name for name, value in snapshot.signature.unpack(snapshot.blocks, row).items() if value is None
    ]
    said = f"{foreign.file} scores row {snapshot.request_ids[row]} of the snapshot {score[row]:g}"
    if np.isnan(score[row]):
        raise ExportError(
            f"{said}, where {', '.join(missing) or 'nothing'} is missing; "
            "use a recipe that imputes what is missing"
        )
    raise ExportError(f"{said}, which is no probability; export it with its sigmoid or softmax")
