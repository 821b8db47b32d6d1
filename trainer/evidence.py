"""Evidence: what the log says about a candidate against the champion. Facts only; the gate judges them.

It rests on whole UTC days: those since the candidate's shadow began, all later than what it was fitted on.
Where earlier fits of its recipe stood in the shadow before it, their rows count too, each with what the fit
made of it that stood there: what is bet on is the recipe, fitted anew from time to time. `judged` covers
those of these days whose every row had matured by as_of_ns: money is counted there and nowhere else, and bet
on at the end of whole cycles. `shadowed` is of the candidate alone, with the days after them that had ended:
enough to say whether it answers, and how fast.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from sidecar.canonical_json import canonical_json, json_digest
from sidecar.domain import Failure, ModelId
from trainer.budget import ErrorShare
from trainer.days import DAY_NS, day_start
from trainer.hidden_outcomes import HiddenOutcomes
from trainer.interval import Day
from trainer.join import UNACCOUNTED
from trainer.late_outcomes import LateOutcomes
from trainer.latency import Latency, Quantile, Quantiles
from trainer.noise import Noise
from trainer.representative import Representation
from trainer.slices import Slice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer.policy import Policy

FAILURE_KINDS = (*(kind.value for kind in Failure if kind is not Failure.NONE), UNACCOUNTED)


@dataclass(frozen=True)
class Query:
    """What was asked: the same query on the same log gives the same evidence.

    as_of_ns: what had happened by then, on the clock of the events. policy_digest: of the policy whose
    cycles, bounds, budget and slices it was measured with.
    """

    as_of_ns: int
    maturity_ns: int
    policy_digest: str

    def matured_start(self, moment_ns: int) -> int:
        """The start of the first day that has not matured as a whole before this moment."""
        return day_start(moment_ns - self.maturity_ns)


@dataclass(frozen=True)
class Accounting:
    """What became of the rows the champion served in [since_ns, until_ns).

    valued: rows the candidate gave a value for. failures: all others, by `FAILURE_KINDS`; "unaccounted" is
    a row without any Score.
    """

    since_ns: int
    until_ns: int
    served: int
    valued: int
    failures: Mapping[str, int]

    @property
    def coverage(self) -> float:
        """The share of served rows that the candidate gave a value for; 0 when none was served."""
        return self.valued / self.served if self.served else 0.0

    @property
    def days(self) -> int:
        """Whole days in the range."""
        return (self.until_ns - self.since_ns) // DAY_NS

    def share(self, *kinds: Failure) -> float:
        """The share of served rows that failed in one of these ways; 0 when none was served."""
        return sum(self.failures[kind] for kind in kinds) / self.served if self.served else 0.0


@dataclass(frozen=True)
class Quality:
    """One model on the joined rows. All but the money is shown only, and decides nothing.

    accuracy: of score >= 0.5. auc: None when all labels are equal. Where an action hides outcomes, each row
    counts for as many as it stands for.
    """

    utility_per_1000: float
    act_rate: float
    accuracy: float
    auc: float | None


@dataclass(frozen=True)
class Stakes:
    """What units of evidence could lose, and lost, in money, beside what was declared.

    entity: the field whose days are units, "" where whole days are. row_bound: the cost table's; unit_bound:
    the policy's. row_most, unit_most: the most that a row and a unit put at risk, which their decisions alone
    tell. rows_beyond, units_beyond: how many could lose more than their bound. unit_worst: the least that a
    unit gained. spread: see `trainer.units.day_spread`; None where whole days are units, or too few.
    """

    entity: str
    row_bound: float
    unit_bound: float
    row_most: float
    rows_beyond: int
    unit_most: float
    units_beyond: int
    unit_worst: float
    spread: float | None


@dataclass(frozen=True)
class Cycle:
    """The state of the bets at the end of a whole cycle, over all units since the first.

    until: ISO date of its last day. units: so far, those at which something was at stake. gain: money so far.
    winning, losing: capital of the bettors (see `trainer.betting`) on a gain above what the policy wants, and
    on one below.
    """

    until: str
    units: int
    gain: float
    winning: tuple[float, ...]
    losing: tuple[float, ...]


@dataclass(frozen=True)
class EarlierFit:
    """An earlier fit of the candidate's recipe, which had its place in the shadow, and what it adds.

    received_since_ns, received_until_ns: when it stood there, by the machine's clock. joined, changed: as of
    `Evidence`, but its own.
    """

    model: ModelId
    received_since_ns: int
    received_until_ns: int
    trained_until_ns: int | None
    joined: int
    changed: int


@dataclass(frozen=True)
class Own:
    """What the candidate shows by itself, on days without the earlier fits. cycles: of bets on those."""

    days: int
    joined: int
    changed: int
    cycles: tuple[Cycle, ...]


@dataclass(frozen=True)
class OpenFinding:
    """A monitor's finding on one of the two models, or on none, open when the evidence was gathered."""

    monitor: str
    subject: str
    what: str
    text: str


@dataclass(frozen=True)
class Evidence:
    """Champion and candidate on the same requests.

    hidden: None where no action hides the outcome. share: the recipe's part of the error budget.
    earlier: fits of the same recipe that stood in the shadow before it, oldest first; own: what the candidate
    shows without them, None where there are none. shadowed and latency are the candidate's alone.
    cut: rows of its recipe's time in the shadow may be gone from the log.
    first_scored_ns: event time of the first row received, of those that were read, with a Score of the
    candidate; None without any. trained_until_ns: the newest event it was fitted on, None where not known.
    received_since_ns: by the machine's clock, when both came to stand where they do; 0 where not known.
    unmatured: shadowed rows too young to be judged. labelled: judged rows with a label; late: how many of
    their outcomes came after the maturity. joined: labelled rows the candidate gave a value for. losses:
    joined rows, decided differently, that lost money. days: judged days, for the eye; their decisions include
    the hidden ones. cycles: what decides. slices_tried: how many slices were compared to find `slices`.
    champion_quality, candidate_quality: None without joined rows. latency: None without a value. noise: None
    where no copy of the champion scored any row.
    """

    task: str
    champion: ModelId
    candidate: ModelId
    query: Query
    signature_digest: str
    costs_digest: str
    currency: str
    hidden: HiddenOutcomes | None
    share: ErrorShare
    first_scored_ns: int | None
    trained_until_ns: int | None
    received_since_ns: int
    earlier: tuple[EarlierFit, ...]
    own: Own | None
    cut: bool
    shadowed: Accounting
    judged: Accounting
    unmatured: int
    labelled: int
    late: LateOutcomes
    joined: int
    losses: int
    representation: Representation | None
    stakes: Stakes
    days: tuple[Day, ...]
    cycles: tuple[Cycle, ...]
    slices_tried: int
    slices: tuple[Slice, ...]
    findings: tuple[OpenFinding, ...]
    champion_quality: Quality | None
    candidate_quality: Quality | None
    latency: Latency | None
    noise: Noise | None

    @property
    def labelled_share(self) -> float:
        """Of judged rows that did not hide their outcome, the share in which it is known; 0 without any."""
        shown = self.judged.served - (self.hidden.hidden if self.hidden else 0)
        return self.labelled / shown if shown else 0.0

    @property
    def changed(self) -> int:
        """Joined rows on which champion and candidate decided differently."""
        return sum(day.changed for day in self.days)

    @property
    def own_days(self) -> int:
        """Judged days of the candidate itself."""
        return self.own.days if self.own else self.judged.days

    @property
    def own_joined(self) -> int:
        """Joined rows of the candidate itself."""
        return self.own.joined if self.own else self.joined

    @property
    def own_cycles(self) -> tuple[Cycle, ...]:
        """Bets on the candidate itself."""
        return self.own.cycles if self.own else self.cycles

    def budget(self, policy: Policy) -> tuple[float, float]:
        """The candidate's part of the error, and what is left for candidates after it."""
        return self.share.of(policy.error), self.share.left(policy.error)

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of the canonical JSON."""
        return json_digest(self.to_json())

    @cached_property
    def canonical_json(self) -> str:
        """One text for equal evidence."""
        return canonical_json(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The evidence as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        single = {
            "champion": ModelId,
            "candidate": ModelId,
            "query": Query,
            "share": ErrorShare,
            "shadowed": Accounting,
            "judged": Accounting,
            "stakes": Stakes,
            "hidden": HiddenOutcomes,
            "late": LateOutcomes,
            "representation": Representation,
            "champion_quality": Quality,
            "candidate_quality": Quality,
        }
        several = {"days": Day, "slices": Slice, "findings": OpenFinding}
        parts: dict[str, Any] = {
            name: None if data[name] is None else kind(**data[name]) for name, kind in single.items()
        }
        parts |= {name: tuple(kind(**one) for one in data[name]) for name, kind in several.items()}
        parts["earlier"] = tuple(
            EarlierFit(**{**one, "model": ModelId(**one["model"])}) for one in data["earlier"]
        )
        parts["cycles"] = _cycles(data["cycles"])
        parts["own"] = data["own"] and Own(**{**data["own"], "cycles": _cycles(data["own"]["cycles"])})
        parts["latency"] = data["latency"] and _latency(data["latency"])
        parts["noise"] = data["noise"] and _noise(data["noise"])
        return cls(**{**data, **parts})


def _cycles(data: Sequence[Mapping[str, Any]]) -> tuple[Cycle, ...]:
    return tuple(
        Cycle(**{**one, "winning": tuple(one["winning"]), "losing": tuple(one["losing"])}) for one in data
    )


def _latency(data: Mapping[str, Any]) -> Latency:
    clocks = ("champion_cpu", "candidate_cpu", "champion_infer", "candidate_infer")
    quantiles = {clock: Quantiles.from_json(data[clock]) for clock in clocks}
    capital = {name: tuple(data[name]) for name in ("within", "beyond")}
    return Latency(**{**data, **quantiles, **capital, "budget": Quantile(**data["budget"])})


def _noise(data: Mapping[str, Any]) -> Noise:
    clocks = {clock: Quantiles.from_json(data[clock]) for clock in ("champion_cpu", "copy_cpu")}
    return Noise(**{**data, **clocks})
