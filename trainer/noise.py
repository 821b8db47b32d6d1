"""The noise floor: what the champion's own copy in the shadow makes of the champion's rows.

Both are the same graph on the same rows, so scores and decisions must be equal to the bit. Where they are
not, nothing that a shadow says can be told from noise, and the gate holds. Only the clocks may differ: by how
much, a candidate's times are the shadow's doing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sidecar.store.request_index import NO_ROW
from trainer.join import read_scores
from trainer.latency import Quantiles, quantiles

if TYPE_CHECKING:
    from sidecar.store.reader import LogReader
    from trainer.comparison import Reign


@dataclass(frozen=True)
class Noise:
    """Champion and copy on the rows that the copy gave a value for.

    scores_differ, decisions_differ: rows. largest_difference: of two scores. champion_cpu, copy_cpu: CPU time
    of the same rows.
    """

    rows: int
    scores_differ: int
    decisions_differ: int
    largest_difference: float
    champion_cpu: Quantiles
    copy_cpu: Quantiles


def measure_noise(reader: LogReader, reign: Reign) -> Noise | None:
    """Compare champion and copy over the champion's rows, served once each; None where no copy scored any."""
    served, champion = reign.served, reign.champion.digest
    request_ids, copy = read_scores(reader, champion, champion, served)
    row_of = served.rows_of(request_ids) if len(request_ids) else np.empty(0, np.int64)
    # Of a request that was sent twice nothing says which of its rows the copy scored.
    known = np.flatnonzero((row_of != NO_ROW) & copy.valued & ~np.append(served.repeated, True)[row_of])
    if not len(known):
        return None
    # In the order of the events, which blocks of rows are cut in.
    known = known[np.argsort(row_of[known], kind="stable")]
    rows, copy = row_of[known], copy.take(known)
    differ = served.score[rows] != copy.score
    block = reign.task.policy.latency_block
    return Noise(
        rows=len(rows),
        scores_differ=int(np.count_nonzero(differ)),
        decisions_differ=int(np.count_nonzero(served.decision[rows] != copy.decision)),
        largest_difference=float(np.abs(served.score[rows] - copy.score).max()),
        champion_cpu=quantiles(served.cpu_ns[rows], block),
        copy_cpu=quantiles(copy.cpu_ns, block),
    )
