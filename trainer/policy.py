"""The policy: what a candidate must show before it is promoted, declared before it is looked at."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

from sidecar.canonical_json import json_digest


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a candidate must show, and how sure the gate has to be.

    Money. largest_unit_loss: the most that one unit of evidence (a whole day, or one entity's day where the
    task names an entity) can lose against the champion; the guarantee rests on it, and each unit is checked
    against it. error: the chance that any candidate is promoted that is not better, over the whole reign of a
    champion. min_gain_per_1000: money per 1,000 decisions that the gain must exceed; negative for "at most
    so much worse". cycle_days: the gate reads at the end of whole cycles only, so that a good weekend proves
    nothing. deadline_days: a candidate that is undecided after so many judged days is turned down, and what
    nobody could judge in so many matured days, a probation or a canary, ends.
    min_rows, min_changed, min_losses: judge none with fewer joined rows, rows decided differently, and such
    rows that lost money.

    Completeness. min_coverage: share of the champion's rows that the candidate gave a value for.
    min_labelled: share of matured rows whose outcome is known, and of the outcomes of each kind that came by
    the maturity. max_label_distance: how far (0 to 1, distance of Kolmogorov and Smirnov) the champion's
    scores of the rows without a label may lie from the others'.

    Speed. latency_budget_us: at most one row in a hundred may need more CPU time. latency_budget_times: the
    same, as a multiple of what the champion's own slowest row in a hundred needs; one of the two is declared.
    latency_block: the verdict's units are blocks of so many rows; make them ten times as long as what one
    stall slows together.

    Canary. canary: the shares of the calls, rising, that a candidate which earned promotion answers first,
    one after the other; empty for none. canary_by: a text or integer field, such as a customer's number, by
    whose values calls are drawn, so that one customer meets one model; None for the calls' ids. canary_days:
    so many matured days at each. canary_wait_budget_us: the service's latency objective: a call is slow that
    waits longer, in the queue and for its run, by the wall clock; of the canary's at most one call in a
    hundred more may be slow than of the champion's at the same time. None: waits are shown, and not judged.

    Probation. A promoted candidate is on probation for probation_days, while the former champion goes on
    scoring. rollback_error: the chance that one that is no worse is rolled back for its money meanwhile, the
    same again for its speed; and, over all its shares, that a canary is ended for its callers' waits although
    on average no more of them were slow than may be.
    rollback_every_days: the bets against it are read, and a decline is supposed to begin, at the end of every
    so many days; where money has a weekly pattern, make it a week.

    slice_days: the newest so many matured days are what `trainer evaluate` and `trainer monitor` call recent.
    slice_error: the chance that a slice which does not lose is taken for one that does, over all slices.
    veto_monitors: open findings of these monitors veto; those of others are shown.
    Raises ValueError for a figure out of range, TypeError for one of another kind.
    """

    latency_budget_us: float | None = None
    latency_budget_times: float | None = None
    largest_unit_loss: float
    error: float = 0.05
    min_gain_per_1000: float = 0.0
    cycle_days: int = 7
    deadline_days: int = 91
    min_rows: int = 1_000
    min_changed: int = 200
    min_losses: int = 30
    min_coverage: float = 0.99
    min_labelled: float = 0.95
    max_label_distance: float = 0.1
    latency_block: int = 20
    canary: tuple[float, ...] = ()
    canary_by: str | None = None
    canary_days: int = 1
    canary_wait_budget_us: float | None = None
    probation_days: int = 28
    rollback_error: float = 0.05
    rollback_every_days: int = 1
    slice_days: int = 28
    slice_error: float = 0.01
    veto_monitors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "veto_monitors", tuple(self.veto_monitors))
        if not isinstance(self.canary, tuple | list) or not all(
            isinstance(share, int | float) for share in self.canary
        ):
            raise TypeError(f"policy: canary is {self.canary!r}; give rising shares, such as (0.05, 0.25)")
        for name in ("cycle_days", "deadline_days", "canary_days", "probation_days", "rollback_every_days"):
            if not isinstance(getattr(self, name), int):
                raise TypeError(f"policy: {name} is {getattr(self, name)!r}; give whole days")
        object.__setattr__(self, "canary", tuple(self.canary))
        budgets = [each for each in (self.latency_budget_us, self.latency_budget_times) if each is not None]
        wait_us = self.canary_wait_budget_us
        checks = {
            "one of latency_budget_us and latency_budget_times is needed": len(budgets) == 1,
            "latency_budget_us and latency_budget_times must be above 0": all(
                0 < each < math.inf for each in budgets
            ),
            "largest_unit_loss must be money above 0": 0 < self.largest_unit_loss < math.inf,
            "error must lie between 0 and 0.5": 0 < self.error < 0.5,  # noqa: PLR2004
            "canary must be rising shares above 0 and below 1": all(
                before < share < 1 for before, share in itertools.pairwise((0.0, *self.canary))
            ),
            "canary_by needs the shares of canary": self.canary_by is None or bool(self.canary),
            "canary_days must be at least 1": self.canary_days >= 1,
            "canary_wait_budget_us must be above 0": wait_us is None or 0 < wait_us < math.inf,
            "canary_wait_budget_us needs the shares of canary": wait_us is None or bool(self.canary),
            "canary_wait_budget_us judges calls drawn by their ids; leave out that or canary_by": (
                wait_us is None or self.canary_by is None
            ),
            "rollback_error must lie between 0 and 0.5": 0 < self.rollback_error < 0.5,  # noqa: PLR2004
            "probation_days and rollback_every_days must be at least 1": min(
                self.probation_days, self.rollback_every_days
            )
            >= 1,
            "rollback_every_days must be at most probation_days": (
                self.rollback_every_days <= self.probation_days
            ),
            "slice_error must lie between 0 and 0.5": 0 < self.slice_error < 0.5,  # noqa: PLR2004
            "min_gain_per_1000 must be finite": math.isfinite(self.min_gain_per_1000),
            "cycle_days and slice_days must be at least 1": min(self.cycle_days, self.slice_days) >= 1,
            "deadline_days must be at least one cycle": self.deadline_days >= self.cycle_days,
            "min_rows and latency_block must be at least 1": min(self.min_rows, self.latency_block) >= 1,
            "min_changed and min_losses must be 0 or more": min(self.min_changed, self.min_losses) >= 0,
            "min_coverage must be above 0, at most 1": 0 < self.min_coverage <= 1,
            "min_labelled must be above 0, at most 1": 0 < self.min_labelled <= 1,
            "max_label_distance must be above 0, at most 1": 0 < self.max_label_distance <= 1,
        }
        for rule, kept in checks.items():
            if not kept:
                raise ValueError(f"policy: {rule}")

    @property
    def cycles(self) -> int:
        """Whole cycles until the deadline."""
        return self.deadline_days // self.cycle_days

    @property
    def probation_deadline_days(self) -> int:
        """Matured days after which a probation ends, whether it could be judged or not."""
        return max(self.probation_days, self.deadline_days)

    def next_share(self, share: float) -> float | None:
        """The share of the calls that a canary answers after this one; None after the last."""
        return next((one for one in self.canary if one > share), None)

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of the canonical JSON of the policy."""
        return json_digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the policy as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(**data)
