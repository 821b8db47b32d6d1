"""Tries a policy out on the task's own past, before it is trusted: how often it promotes, and how soon.

Two models decide on rows of the history that neither was fitted on, in units of evidence as the gate makes
them. Whole cycles are then drawn again and again with replacement, so that what belongs together stays so,
into streams as long as the deadline, and each stream is read at the end of every cycle as the gate reads.
For a null the units' signs are drawn, or their mean is taken out; for the power it is put back by parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from sidecar.bundle import open_bundle
from sidecar.errors import NotFoundError
from sidecar.session import load_model
from trainer.betting import BETS
from trainer.days import DAY_NS
from trainer.interval import PER
from trainer.task import History
from trainer.units import pair, sum_units

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from sidecar.signature import Blocks
    from trainer.policy import Policy
    from trainer.task import Task
    from trainer.units import Units

EFFECTS = (0.25, 0.5, 1.0, 2.0)
"""Parts of the measured gain that the power is worked out for."""
_CHUNK = 8_192
_LEAST_CYCLES = 4
_SIGNINGS = 64
"""Ways in which the units' signs are drawn; streams are made of cycles of all of them."""


@dataclass(frozen=True)
class Past:
    """What two models made of the history.

    units: as the gate makes them, in whole cycles; cycle: which each is in. decisions: rows. gain_per_1000:
    the candidate's over the champion's. at_risk: the most a unit put at risk.
    """

    units: Units
    cycle: NDArray[np.int64]
    cycles: int
    decisions: int
    gain_per_1000: float
    at_risk: float


@dataclass(frozen=True)
class Outlook:
    """How streams of one kind ended.

    promoted, rejected: shares. days: median until promoted, None when less than half were. by_interval: share
    that a 95 % t-interval would have promoted at the end of some cycle, as the control.
    """

    kind: str
    gain_per_1000: float
    promoted: float
    rejected: float
    days: float | None
    by_interval: float


def replay_history(task: Task, champion: Path, candidate: Path, until_ns: int | None) -> Past:
    """Let two bundles decide on the rows of the history that are later than what either was fitted on.

    Raises NotFoundError when the task has no history, fewer than four whole cycles of it are left, or a
    bundle does not say what it was fitted on.
    """
    if task.history is None:
        raise NotFoundError(f"task {task.name!r} has no history to simulate on")
    history = task.history()
    assert isinstance(history, History)
    event_ns = np.asarray(history.event_ns, np.int64)
    begins_ns = [int(event_ns.min()), *(_trained_until(path) + DAY_NS for path in (champion, candidate))]
    first_day = max(begins_ns) // DAY_NS
    last_ns = int(event_ns.max()) + 1 if until_ns is None else until_ns
    cycles = (last_ns // DAY_NS - first_day) // task.policy.cycle_days
    if cycles < _LEAST_CYCLES:
        raise NotFoundError(
            f"task {task.name!r}: {max(cycles, 0)} whole cycles of the history are later than what the "
            f"models were "
            f"fitted on, {_LEAST_CYCLES} are needed; fit them on an earlier part of it"
        )
    end_day = first_day + cycles * task.policy.cycle_days
    day = event_ns // DAY_NS
    rows = np.flatnonzero((day >= first_day) & (day < end_day))
    rows = rows[np.argsort(event_ns[rows], kind="stable")]
    blocks = task.signature.pack_columns({name: np.asarray(of)[rows] for name, of in history.columns.items()})
    decisions = tuple(_decide(path, blocks) for path in (champion, candidate))
    nothing = np.zeros(len(rows), np.int64)
    pairs = pair(
        task.costs,
        task.signature,
        blocks,
        np.asarray(history.label, np.float64)[rows],
        decisions=(decisions[0], decisions[1]),
        cpu_ns=(nothing, nothing),
    )
    units = sum_units(
        task.signature,
        blocks,
        event_ns[rows],
        pairs,
        entity=task.entity,
        wanted=task.policy.min_gain_per_1000 / PER,
    )
    return Past(
        units=units,
        cycle=(units.day - first_day) // task.policy.cycle_days,
        cycles=int(cycles),
        decisions=len(rows),
        gain_per_1000=PER * float(pairs.gain.mean()),
        at_risk=float(units.risk.max(initial=0.0)),
    )


def outlook(past: Past, policy: Policy, wanted: float, *, streams: int, seed: int) -> list[Outlook]:
    """Draw streams of each kind and read them as the gate does. wanted: the e-value that promotes."""
    rng = np.random.default_rng(seed)
    size = (streams, policy.cycles)
    units = past.units.gain / policy.largest_unit_loss
    mean = float(units.mean()) if len(units) else 0.0
    signs = rng.choice(np.array([-1.0, 1.0]), (_SIGNINGS, len(units)))
    kinds = [
        ("no gain: signs of units drawn", 0.0, signs * units),
        ("no gain: mean taken out", 0.0, (units - mean)[None]),
        *((f"{part:g} of the gain measured", part, (units - (1 - part) * mean)[None]) for part in EFFECTS),
    ]
    return [
        _ends(
            _Streams(
                past, variants, rng.integers(0, len(variants), size), rng.integers(0, past.cycles, size)
            ),
            policy,
            wanted,
            kind,
            part * past.gain_per_1000,
        )
        for kind, part, variants in kinds
    ]


@dataclass(frozen=True, eq=False)
class _Streams:
    """Which cycles of which variant each stream is made of.

    variants: float64 [variants, units], units scaled by their bound. variant, cycle: int64 [streams, cycles].
    """

    past: Past
    variants: NDArray[np.float64]
    variant: NDArray[np.int64]
    cycle: NDArray[np.int64]

    def log_e(self, side: int) -> NDArray[np.float64]:
        """The logarithm of the e-value at each cycle's end, [streams, cycles]; side: 1 for, -1 against."""
        units = np.maximum(side * self.variants, -1.0)
        grown = np.stack([self._by_cycle(np.log1p(bet * units)) for bet in BETS], axis=2)
        paths = np.cumsum(grown[self.variant, self.cycle], axis=1)
        top = paths.max(axis=2)
        return np.asarray(top + np.log(np.exp(paths - top[..., None]).mean(axis=2)))

    def by_interval(self) -> float:
        """How many a t-interval, looked at after every cycle, would have promoted at some time."""
        total = self._by_cycle(self.variants)[self.variant, self.cycle]
        count = np.arange(1, total.shape[1] + 1)
        mean = np.cumsum(total, axis=1) / count
        squares = np.maximum(np.cumsum(total**2, axis=1) - count * mean**2, 0)
        spread = np.sqrt(squares / np.maximum(count - 1, 1) / count)
        reach = stdtrit(np.maximum(count - 1, 1), 0.975) * spread
        return float(((mean > reach) & (count > 1)).any(axis=1).mean())

    def _by_cycle(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums over the units of each cycle, float64 [variants, cycles]."""
        past = self.past
        return np.stack([np.bincount(past.cycle, weights=one, minlength=past.cycles) for one in values])


def _ends(streams: _Streams, policy: Policy, wanted: float, kind: str, gain_per_1000: float) -> Outlook:
    earned = _first(streams.log_e(1) >= math.log(wanted))
    lost = _first(streams.log_e(-1) >= -math.log(policy.error))
    promoted = earned < np.minimum(lost, policy.cycles)
    days = (earned[promoted] + 1) * policy.cycle_days
    return Outlook(
        kind=kind,
        gain_per_1000=gain_per_1000,
        promoted=float(promoted.mean()),
        rejected=float((lost < np.minimum(earned, policy.cycles)).mean()),
        days=float(np.median(days)) if promoted.mean() >= 1 / 2 else None,
        by_interval=streams.by_interval(),
    )


def _first(reached: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The first column that holds, or the number of columns."""
    first = np.where(reached.any(axis=1), reached.argmax(axis=1), reached.shape[1])
    return np.asarray(first, np.int64)


def _trained_until(path: Path) -> int:
    bundle = open_bundle(path)
    until_ns = bundle.fitted_until_ns
    if until_ns is None:
        raise NotFoundError(
            f"{bundle.model} does not say what it was fitted on, so it may know the history by heart; "
            "register it with --trained-until"
        )
    return until_ns


def _decide(path: Path, blocks: Blocks) -> NDArray[np.bool_]:
    model = load_model(path)
    parts = [model.run(blocks.take(slice(at, at + _CHUNK))).decision for at in range(0, len(blocks), _CHUNK)]
    return np.concatenate(parts) if parts else np.empty(0, np.bool_)
