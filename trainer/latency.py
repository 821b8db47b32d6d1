"""Latency: whether at most one row in a hundred needs more CPU time than the budget allows.

Slow rows come in bursts, when a neighbour takes the caches or a core, so a row is no unit here either.
Blocks of `latency_block` rows are, in the order of the events, or behind what was seen before if they come
late (`trainer.looks`). The same bettors that judge the money bet against "one row in a hundred or more is
over the budget" (they win when the candidate is fast enough), and against "at most one in a hundred is" (they
win when it is too slow).

A budget in microseconds suits a machine that is known. One in multiples of the champion's own p99, on the
same rows, suits any; that p99 is itself uncertain, so the first bettors are given the lower end of its
interval, and the second ones the upper.

A bound on all such tests: a block without one slow row multiplies the capital by at most 1 / 0.99, so passing
takes at least 300 blocks. Larger blocks bear longer bursts and need more rows, in proportion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from trainer.betting import log_capital

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from trainer.policy import Policy

ALLOWED = 0.01
"""The share of rows that may be over the budget: it is held against the p99."""
_QUANTILES = (0.5, 0.99, 0.999)
_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Quantile:
    """Of the time of the inference call a row was part of, in microseconds, with a 95 % interval."""

    us: float
    lower_us: float
    upper_us: float


@dataclass(frozen=True)
class Quantiles:
    """Three quantiles of one model on one clock."""

    p50: Quantile
    p99: Quantile
    p999: Quantile

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """From what `dataclasses.asdict` makes of them."""
        return cls(**{name: Quantile(**one) for name, one in data.items()})


@dataclass(frozen=True)
class Latency:
    """Champion and candidate on the same rows: those of `shadowed` that the candidate gave a value for.

    budget: with an interval where it was measured, as a multiple of the champion's p99. block: the policy's.
    over, champion_over: rows that needed more CPU time than `budget.us`. within, beyond: capital of the
    bettors (see `trainer.betting`) on the budget being kept, and on its being broken.
    cpu decides, because preemption by a neighbour does not inflate it; infer is the wall clock, for the eye.
    """

    rows: int
    budget: Quantile
    block: int
    over: int
    champion_over: int
    within: tuple[float, ...]
    beyond: tuple[float, ...]
    champion_cpu: Quantiles
    candidate_cpu: Quantiles
    champion_infer: Quantiles
    candidate_infer: Quantiles


@dataclass(frozen=True)
class Speed:
    """One model by itself, held against the budget; see `Latency`."""

    rows: int
    budget: Quantile
    block: int
    over: int
    within: tuple[float, ...]
    beyond: tuple[float, ...]
    cpu: Quantiles


def measure_alone(policy: Policy, cpu_ns: NDArray[np.int64], reference_ns: NDArray[np.int64]) -> Speed | None:
    """Hold n rows, in the order in which blocks are cut, against the budget; see `trainer.looks`.

    cpu_ns: int64 [n]. reference_ns: int64 [m], what rows took of the model whose p99 a budget in multiples is
    of; empty where there is none. None without rows, and where such a budget has no reference.
    """
    block = policy.latency_block
    if not len(cpu_ns) or (policy.latency_budget_times is not None and not len(reference_ns)):
        return None
    cpu = quantiles(cpu_ns, block)
    budget = _budget(policy, quantiles(reference_ns, block).p99 if len(reference_ns) else cpu.p99)
    over, within, beyond = _held_against(budget, cpu_ns, block)
    return Speed(len(cpu_ns), budget, block, over, within, beyond, cpu)


def measure(
    policy: Policy,
    champion: tuple[NDArray[np.int64], NDArray[np.int64]],
    candidate: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> Latency | None:
    """Compare the two on n rows, in the order in which blocks are cut; None without rows.

    champion, candidate: cpu_ns and infer_ns of each, int64 [n].
    """
    if not len(candidate[0]):
        return None
    block = policy.latency_block
    champion_cpu = quantiles(champion[0], block)
    budget = _budget(policy, champion_cpu.p99)
    over, within, beyond = _held_against(budget, candidate[0], block)
    return Latency(
        rows=len(candidate[0]),
        budget=budget,
        block=block,
        over=over,
        champion_over=int(np.count_nonzero(_over(champion[0], budget.us))),
        within=within,
        beyond=beyond,
        champion_cpu=champion_cpu,
        candidate_cpu=quantiles(candidate[0], block),
        champion_infer=quantiles(champion[1], block),
        candidate_infer=quantiles(candidate[1], block),
    )


def _budget(policy: Policy, champion: Quantile) -> Quantile:
    if policy.latency_budget_us is not None:
        return Quantile(policy.latency_budget_us, policy.latency_budget_us, policy.latency_budget_us)
    assert policy.latency_budget_times is not None, "a policy has one of the two"
    times = policy.latency_budget_times
    return Quantile(times * champion.us, times * champion.lower_us, times * champion.upper_us)


def _held_against(
    budget: Quantile, cpu_ns: NDArray[np.int64], block: int
) -> tuple[int, tuple[float, ...], tuple[float, ...]]:
    """Rows over the budget, and the capital of those who bet on its being kept, and on its being broken."""
    return (
        int(np.count_nonzero(_over(cpu_ns, budget.us))),
        log_capital(within_units(block_shares(_over(cpu_ns, budget.lower_us), block))),
        log_capital(beyond_units(block_shares(_over(cpu_ns, budget.upper_us), block))),
    )


def _over(cpu_ns: NDArray[np.int64], budget_us: float) -> NDArray[np.bool_]:
    return np.asarray(cpu_ns > budget_us * 1_000)


def block_shares(over: NDArray[np.bool_], block: int) -> NDArray[np.float64]:
    """The share of each whole block that is over; the rows left at the end are no block yet.

    over: bool [..., n]. Returns float64 [..., n // block].
    """
    whole = over.shape[-1] // block
    shaped = over[..., : whole * block].reshape(*over.shape[:-1], whole, block)
    return np.asarray(shaped.mean(axis=-1))


def within_units(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Units of the bet that the budget is kept; at least -1, when a whole block is over."""
    return (ALLOWED - shares) / (1 - ALLOWED)


def beyond_units(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Units of the bet that the budget is broken; at least -1, when no row of a block is over."""
    return (shares - ALLOWED) / ALLOWED


def quantiles(durations_ns: NDArray[np.int64], block: int) -> Quantiles:
    """The quantiles of n durations, int64 [n], n > 0, with intervals from blocks of so many."""
    rising = np.sort(durations_ns)
    return Quantiles(*(_quantile(durations_ns, rising, share, block) for share in _QUANTILES))


def _quantile(
    durations_ns: NDArray[np.int64], rising: NDArray[np.int64], share: float, block: int
) -> Quantile:
    """A measured value, with Woodruff's interval from blocks.

    The share of rows at or below the quantile is a mean over blocks, with a known error; what lies that error
    to both sides is the interval (R. S. Woodruff, "Confidence intervals for medians and other position
    measures", JASA 1952).
    """
    value = _at(rising, share)
    shares = block_shares(durations_ns <= value, block)
    error = float(shares.std(ddof=1)) / math.sqrt(len(shares)) if len(shares) > 1 else 1.0
    lower, upper = _at(rising, share - _Z95 * error), _at(rising, share + _Z95 * error)
    return Quantile(value / 1_000, lower / 1_000, upper / 1_000)


def _at(rising: NDArray[np.int64], share: float) -> int:
    """The inverse of the empirical distribution function."""
    rank = math.ceil(share * len(rising)) - 1
    return int(rising[min(max(rank, 0), len(rising) - 1)])
