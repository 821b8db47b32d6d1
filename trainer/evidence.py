"""Evidence: what the log says about a candidate against the champion. Facts only; the gate judges them.

It rests on whole UTC days: those since the candidate's shadow began, all later than what it was fitted on.
`judged` covers the newest `slice_days` of those whose every row had matured by as_of_ns: money is counted
there and nowhere else. `shadowed` adds the days after them that had ended: enough to say whether the
candidate answers, and how fast.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from sidecar.canonical_json import canonical_json, json_digest
from sidecar.domain import Failure, ModelId
from trainer.days import DAY_NS
from trainer.interval import Day
from trainer.join import UNACCOUNTED

if TYPE_CHECKING:
    from collections.abc import Mapping

FAILURE_KINDS = (*(kind.value for kind in Failure if kind is not Failure.NONE), UNACCOUNTED)


@dataclass(frozen=True)
class Query:
    """What was asked: the same query on the same log gives the same evidence.

    as_of_ns: what had happened by then, on the clock of the events. slice_days: the most days judged.
    """

    as_of_ns: int
    maturity_ns: int
    slice_days: int


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
class Quantiles:
    """Of the time of the inference call a row was part of, in microseconds."""

    p50_us: float
    p99_us: float
    p999_us: float


@dataclass(frozen=True)
class Latency:
    """Champion and candidate on the same rows: those of `shadowed` that the candidate gave a value for.

    cpu decides, because preemption by a neighbour does not inflate it; infer is the wall clock, for the eye.
    """

    rows: int
    champion_cpu: Quantiles
    candidate_cpu: Quantiles
    champion_infer: Quantiles
    candidate_infer: Quantiles


@dataclass(frozen=True)
class Quality:
    """One model on the joined rows. All but the money is shown only, and decides nothing.

    accuracy: of score >= 0.5. auc: None when all labels are equal.
    """

    utility_per_1000: float
    act_rate: float
    accuracy: float
    auc: float | None


@dataclass(frozen=True)
class Evidence:
    """Champion and candidate on the same requests.

    first_scored_ns: event time of the earliest row, of those the slice may reach, with a Score of the
    candidate; None without any. trained_until_ns: the newest event it was fitted on, None where not known.
    candidates_tried: candidates that share the policy's error budget. labelled: judged rows with a label.
    joined: of those, rows the candidate gave a value for. days: the units, in order. champion_quality,
    candidate_quality: None without joined rows. latency: None without a value.
    """

    task: str
    champion: ModelId
    candidate: ModelId
    query: Query
    signature_digest: str
    costs_digest: str
    currency: str
    candidates_tried: int
    first_scored_ns: int | None
    trained_until_ns: int | None
    shadowed: Accounting
    judged: Accounting
    labelled: int
    joined: int
    days: tuple[Day, ...]
    champion_quality: Quality | None
    candidate_quality: Quality | None
    latency: Latency | None

    @property
    def labelled_share(self) -> float:
        """The share of judged rows whose outcome is known; 0 when none was served."""
        return self.labelled / self.judged.served if self.judged.served else 0.0

    @property
    def changed(self) -> int:
        """Joined rows on which champion and candidate decided differently."""
        return sum(day.changed for day in self.days)

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
        latency = data["latency"]
        quality = {
            name: None if data[name] is None else Quality(**data[name])
            for name in ("champion_quality", "candidate_quality")
        }
        return cls(
            **{
                **data,
                **quality,
                "champion": ModelId(**data["champion"]),
                "candidate": ModelId(**data["candidate"]),
                "query": Query(**data["query"]),
                "shadowed": Accounting(**data["shadowed"]),
                "judged": Accounting(**data["judged"]),
                "days": tuple(Day(**day) for day in data["days"]),
                "latency": latency
                and Latency(
                    rows=latency["rows"],
                    **{name: Quantiles(**part) for name, part in latency.items() if name != "rows"},
                ),
            }
        )
