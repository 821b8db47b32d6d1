"""Gathers from the log what is known of a champion on probation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.betting import restarted_capital
from trainer.budget import ErrorShare
from trainer.comparison import Reign
from trainer.days import DAY_NS, iso_day
from trainer.gather import Known, describe
from trainer.interval import PER
from trainer.latency import measure_alone
from trainer.noise import measure_noise
from trainer.probation.facts import Probation, Reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidecar.domain import ModelId
    from sidecar.store.reader import LogReader
    from trainer.evidence import Accounting, OpenFinding
    from trainer.policy import Policy
    from trainer.task import Task
    from trainer.units import Units


def measure_probation(
    task: Task,
    reader: LogReader,
    champion: ModelId,
    former: ModelId,
    *,
    as_of_ns: int | None = None,
    after_ns: int | None = None,
    findings: tuple[OpenFinding, ...] = (),
) -> Probation:
    """What was known at `as_of_ns` (the log's clock if not given), from whole days later than `after_ns` on.

    Raises NotFoundError when nothing has been served.
    """
    reign = Reign.at(task, reader, champion, as_of_ns)
    found = reign.compare(reader, former, trained_until_ns=after_ns)
    known = Known(
        shares={former.digest: ErrorShare(0, 1)},
        trained_until_ns={} if after_ns is None else {former.digest: after_ns},
        findings={former.digest: findings},
    )
    policy = task.policy
    # A candidate that may earn a little less than the champion may do so as champion too.
    units = found.units(task, max(0.0, -policy.min_gain_per_1000) / PER)
    begin_ns = found.shadowed_account.since_ns
    return Probation(
        evidence=describe(reign, found, former, known, measure_noise(reader, reign)),
        readings=_readings(policy, units, found.judged_account),
        speed=measure_alone(
            policy, reign.served.cpu_ns[found.shadowed], _cpu_before(reader, former, policy, begin_ns)
        ),
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


def _cpu_before(reader: LogReader, former: ModelId, policy: Policy, until_ns: int) -> NDArray[np.int64]:
    """CPU times of what the former champion answered in the cycle before, in the order of the log."""
    since_ns = until_ns - policy.cycle_days * DAY_NS
    parts = reader.served_parts(("cpu_ns",), since_ns=since_ns, until_ns=until_ns, champion=former.digest)
    columns = [part.columns["cpu_ns"] for part in parts]
    return np.concatenate(columns) if columns else np.empty(0, np.int64)
