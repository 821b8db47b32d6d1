"""Gathers from the log what is known of who newly answers calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.betting import restarted_capital
from trainer.budget import ErrorShare
from trainer.comparison import Reign
from trainer.days import DAY_NS, day_start, iso_day
from trainer.gather import Known, describe
from trainer.interval import PER
from trainer.latency import measure_alone
from trainer.noise import measure_noise
from trainer.probation.facts import Probation, Reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.domain import ModelId
    from sidecar.store.reader import LogReader
    from trainer.evidence import Accounting
    from trainer.policy import Policy
    from trainer.task import Task
    from trainer.units import Units

WHOLE = 1.0
"""The share of a champion."""


def measure_probation(
    task: Task,
    reader: LogReader,
    newcomer: ModelId,
    former: ModelId,
    *,
    share: float = WHOLE,
    as_of_ns: int | None = None,
    after_ns: int | None = None,
    share_since_ns: int = 0,
) -> Probation:
    """What was known at `as_of_ns` (the log's clock if not given), from whole days later than `after_ns` on.

    share_since_ns: the moment after which whole days count as days at this share. Where the latency budget is
    in multiples, they are of what the former one takes where it serves: beside a canary, in the same days;
    before a new champion, in the cycle before. Raises NotFoundError when nothing has been served.
    """
    reign = Reign.at(task, reader, newcomer, as_of_ns)
    found = reign.compare(reader, former, trained_until_ns=after_ns)
    known = Known(
        shares={former.digest: ErrorShare(0, 1)},
        trained_until_ns={} if after_ns is None else {former.digest: after_ns},
    )
    policy = task.policy
    # A candidate that may earn a little less than the champion may do so as champion too.
    units = found.units(task, max(0.0, -policy.min_gain_per_1000) / PER)
    shadowed = found.shadowed_account
    judged = found.judged_account
    at_share_ns = max(judged.since_ns, day_start(share_since_ns) + DAY_NS)
    begin_ns, end_ns = shadowed.since_ns, shadowed.until_ns
    beside = (begin_ns, end_ns) if share < WHOLE else (begin_ns - policy.cycle_days * DAY_NS, begin_ns)
    return Probation(
        share=share,
        share_since_ns=share_since_ns,
        days=max(0, (judged.until_ns - at_share_ns) // DAY_NS),
        evidence=describe(reign, found, former, known, measure_noise(reader, reign)),
        readings=_readings(policy, units, judged),
        speed=measure_alone(policy, reign.served.cpu_ns[found.shadowed], _cpu_of(reader, former, *beside)),
    )


def _readings(policy: Policy, units: Units, judged: Accounting) -> tuple[Reading, ...]:
    first_day, days = judged.since_ns // DAY_NS, policy.rollback_every_days
    stretches = policy.probation_days // days
    last_days = [first_day + number * days for number in range(1, min(judged.days // days, stretches) + 1)]
    ends = np.searchsorted(units.day, last_days).tolist()
    # A unit below -1 breaks the bound, and the verdict says so.
    scaled = np.maximum(units.gain / policy.largest_unit_loss, -1.0)
    capital = restarted_capital(scaled, ends, stretches)
    return tuple(
        Reading(iso_day((day - 1) * DAY_NS), end, float(units.gain[:end].sum()), one)
        for day, end, one in zip(last_days, ends, capital, strict=True)
    )


def _cpu_of(reader: LogReader, model: ModelId, since_ns: int, until_ns: int) -> NDArray[np.int64]:
    """CPU times of what a model answered in a span, in the order of the log."""
    parts = reader.served_parts(("cpu_ns",), since_ns=since_ns, until_ns=until_ns, champion=model.digest)
    columns = [part.columns["cpu_ns"] for part in parts]
    return np.concatenate(columns) if columns else np.empty(0, np.int64)
