"""Waits: whether a canary keeps its callers waiting longer than the champion does at the same time.

A wait is what a call spends in the queue and in its run, by the wall clock. In a busy hour every call waits
longer, so that no canary can be held to a budget by itself. But a hash of its id draws who answers a call:
whatever slows them both meets the one's calls as likely as the other's. So calls of both, in the order in
which they came (`trainer.looks` says where those stand that are logged late), are cut into blocks, and what
is bet on is a difference: the share of the canary's calls in the block that waited longer than the budget,
less that share of the champion's.

Because chance draws who answers, the expectation of the difference in a block is the share of its calls that
would be slow were they all the canary's, less the same of the champion. The same bettors as everywhere bet
against "on average that is at most one in a hundred" (they win when it keeps callers waiting), and against
"it is one in a hundred or more" (they win when it does not). Every block has the same stake, the most that
one can lose, so each counts for what was slow in it: a canary that is at most one call in a hundred worse on
average up to now is ended with a chance of at most the error, in whatever bursts, busy hours and stalls of
the one or the other. A block holds `latency_block` of the canary's calls on average, because a stall of its
own slows several together.

A stake that follows the number of slow calls would see more with fewer calls, and err: it makes more of a
quiet block than of one in which the champion stalls, and so ends a canary that is the better one on average.

A call on which the canary failed waited for it, though the champion answered then: it is the canary's, and
the time of the run that failed counts.

What it cannot see: where both wait in one queue, a slow canary slows the champion's calls as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from trainer.betting import log_capital
from trainer.latency import ALLOWED, Quantiles, quantiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from trainer.policy import Policy


@dataclass(frozen=True)
class Calls:
    """Calls that waited for one model, each once, in any order: it answered them, or failed to.

    look: int64 [n], the number of the look at which each first counted (see `trainer.looks`). received_ns:
    int64 [n], by the machine's clock. waited_ns: int64 [n], in the queue, for the run, and before it for one
    that failed.
    """

    look: NDArray[np.int64]
    received_ns: NDArray[np.int64]
    waited_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.received_ns)

    @classmethod
    def concat(cls, parts: Sequence[Calls]) -> Calls:
        """All calls of the parts."""
        return cls(
            np.concatenate([one.look for one in parts]),
            np.concatenate([one.received_ns for one in parts]),
            np.concatenate([one.waited_ns for one in parts]),
        )


@dataclass(frozen=True)
class Excess:
    """The canary's slow calls held against the champion's.

    budget_us: a call that waited longer is slow; slow, beside_slow: how many were, of the canary's and of the
    champion's. block: calls of both that make a unit. within, beyond: capital of the bettors (see
    `trainer.betting`) on the canary's keeping to it, and on its not.
    """

    budget_us: float
    block: int
    slow: int
    beside_slow: int
    within: tuple[float, ...]
    beyond: tuple[float, ...]


@dataclass(frozen=True)
class Waits:
    """How long the canary's callers waited, and the champion's beside them, while it had its present share.

    excess: None where the policy has no budget for it, and where calls are not drawn by their ids.
    """

    calls: int
    waited: Quantiles
    beside_calls: int
    beside: Quantiles
    excess: Excess | None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """From what `dataclasses.asdict` makes of them."""
        excess = data["excess"] and Excess(
            **{**data["excess"], **{name: tuple(data["excess"][name]) for name in ("within", "beyond")}}
        )
        waited, beside = (Quantiles.from_json(data[name]) for name in ("waited", "beside"))
        return cls(data["calls"], waited, data["beside_calls"], beside, excess)


def measure_waits(
    policy: Policy, canary: Calls, champion: Calls, *, share: float, by_id: bool
) -> Waits | None:
    """Compare the two; None where either answered nothing.

    share: of the calls that the canary answers. by_id: calls are drawn by their ids. Customers differ from
    one another, so where a customer's calls all go one way, who waits is no matter of chance.
    """
    if not len(canary) or not len(champion):
        return None
    received_ns = np.concatenate([canary.received_ns, champion.received_ns])
    order = np.lexsort((received_ns, np.concatenate([canary.look, champion.look])))
    waited_ns = np.concatenate([canary.waited_ns, champion.waited_ns])[order]
    own = order < len(canary)
    excess, budget_us = None, policy.canary_wait_budget_us
    if budget_us is not None and by_id:
        block = math.ceil(policy.latency_block / share)
        slow = waited_ns > budget_us * 1_000
        blocks = Blocks.of(slow, own, block)
        excess = Excess(
            budget_us=budget_us,
            block=block,
            slow=int(np.count_nonzero(slow & own)),
            beside_slow=int(np.count_nonzero(slow & ~own)),
            within=log_capital(within_units(blocks)),
            beyond=log_capital(beyond_units(blocks)),
        )
    return Waits(
        calls=len(canary),
        waited=quantiles(waited_ns[own], policy.latency_block),
        beside_calls=len(champion),
        beside=quantiles(waited_ns[~own], policy.latency_block),
        excess=excess,
    )


@dataclass(frozen=True, eq=False)
class Blocks:
    """What is counted in whole blocks of calls; all float64 [..., blocks].

    answered: the canary's calls, of `size` in all. own: those of them that are slow; slow: all that are.
    """

    size: int
    answered: NDArray[np.float64]
    own: NDArray[np.float64]
    slow: NDArray[np.float64]

    @classmethod
    def of(cls, slow: NDArray[np.bool_], own: NDArray[np.bool_], size: int) -> Self:
        """Of calls in the order in which they came: whether slow, whether the canary's; bool [..., n]."""
        whole = slow.shape[-1] // size

        def count(of: NDArray[np.bool_]) -> NDArray[np.float64]:
            shaped = of[..., : whole * size].reshape(*of.shape[:-1], whole, size)
            return np.asarray(shaped.sum(axis=-1, dtype=np.float64))

        return cls(size, count(own), count(slow & own), count(slow))

    @property
    def more(self) -> NDArray[np.float64]:
        """The canary's share of slow calls less the champion's; NaN where one of the two answered none.

        >>> slow, own = np.array([1, 0, 1, 0, 1, 1], bool), np.array([1, 1, 0, 0, 1, 1], bool)
        >>> Blocks.of(slow, own, 2).more
        array([nan, nan, nan])
        >>> Blocks.of(slow, own, 3).more
        array([-0.5,  1. ])
        """
        with np.errstate(invalid="ignore"):
            others = self.size - self.answered
            return np.asarray(self.own / self.answered - (self.slow - self.own) / others)


def within_units(blocks: Blocks) -> NDArray[np.float64]:
    """Units of the bet that it keeps to it; at least -1, and 0 where nothing is known."""
    return np.asarray(np.nan_to_num((ALLOWED - blocks.more) / (1 - ALLOWED)))


def beyond_units(blocks: Blocks, allowed: float = ALLOWED) -> NDArray[np.float64]:
    """Units of the bet that it does not, likewise."""
    return np.asarray(np.nan_to_num((blocks.more - allowed) / (1 + allowed)))
