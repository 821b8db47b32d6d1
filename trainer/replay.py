"""Makes a past decision again from the log, and says what differs.

What the log cannot tell (who shared the error budget, what was fitted on what, which findings were open) is
taken from the evidence that was kept with the decision; everything else is gathered and decided anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidecar.errors import InvalidRequestError, NotFoundError
from sidecar.registry import Look
from trainer.evidence import Evidence
from trainer.gate import Decision, decide
from trainer.gather import Known, gather
from trainer.looks import before
from trainer.probation.facts import Probation
from trainer.probation.measure import measure_probation
from trainer.probation.verdict import judge_canary, judge_champion
from trainer.stints import Stint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sidecar.registry import StoredDecision
    from sidecar.store.reader import LogReader
    from trainer.task import Task


@dataclass(frozen=True)
class Difference:
    """Where the decision that was made again is not the one that was kept; values as JSON."""

    where: str
    kept: str
    again: str


@dataclass(frozen=True)
class Replay:
    """A decision, and the same made again. differences: none when the two are equal, bit for bit."""

    stored: StoredDecision
    again: Decision
    differences: tuple[Difference, ...]


def find_decision(decisions: Sequence[StoredDecision], name: str) -> StoredDecision:
    """The decision with this number, or the newest whose evidence's digest begins so.

    Raises NotFoundError when there is none, and InvalidRequestError when the name is empty.
    """
    if not name:
        raise InvalidRequestError(
            "name a decision by its number, or by the beginning of its evidence's digest"
        )
    for decision in reversed(decisions):
        if name == str(decision.sequence) or (
            len(name) > len("1234567") and decision.evidence_digest.startswith(name)
        ):
            return decision
    raise NotFoundError(f"no decision {name!r}; `trainer audit` lists them")


def replay(task: Task, reader: LogReader, stored: StoredDecision, looks: Sequence[Look]) -> Replay:
    """Gather and decide again, from what had been logged then. looks: all that were ever taken.

    Raises NotFoundError when the log was empty.
    """
    facts = json.loads(stored.evidence_json)
    with reader.as_logged(stored.logged_ns) as log:
        kept, evidence, judged = _again(task, log, stored, facts, looks)
    was = {
        "policy": json.loads(stored.policy_json),
        "decision": {"action": stored.action, "reasons": stored.reasons},
        "evidence": kept.to_json(),
    }
    now = {
        "policy": task.policy.to_json(),
        "decision": {"action": judged.action, "reasons": list(judged.reasons)},
        "evidence": evidence.to_json(),
    }
    return Replay(stored, judged, tuple(_differences("", _plain(was), _plain(now))))


def _again(
    task: Task, log: LogReader, stored: StoredDecision, facts: Mapping[str, Any], looks: Sequence[Look]
) -> tuple[Evidence | Probation, Evidence | Probation, Decision]:
    """The evidence as it was kept, gathered again, and judged again."""
    kept: Evidence | Probation
    evidence: Evidence | Probation
    if "readings" in facts:
        kept = Probation.from_json(facts)
        then = Look(kept.evidence.query.as_of_ns, stored.logged_ns)
        evidence = measure_probation(
            task,
            log,
            kept.newcomer,
            kept.former,
            share=kept.share,
            drawn_by=kept.drawn_by,
            as_of_ns=kept.evidence.query.as_of_ns,
            received_since_ns=kept.evidence.received_since_ns,
            share_since_ns=kept.share_since_ns,
            looks=before(looks, then),
        )
        judge = judge_champion if kept.of_champion else judge_canary
        judged = judge(evidence, task.policy, decided_ns=stored.decided_ns, actor=stored.actor)
    else:
        kept = Evidence.from_json(facts)
        then = Look(kept.query.as_of_ns, stored.logged_ns)
        evidence = _gathered(task, log, kept, before(looks, then))
        judged = decide(evidence, task.policy, decided_ns=stored.decided_ns, actor=stored.actor)
    return kept, evidence, judged


def _gathered(task: Task, log: LogReader, kept: Evidence, looks: Sequence[Look]) -> Evidence:
    digest = kept.candidate.digest
    known = Known(
        shares={digest: kept.share},
        stints={digest: _stints(kept)},
        findings={digest: kept.findings},
        looks=looks,
    )
    (evidence,) = gather(
        task, log, kept.champion, [kept.candidate], as_of_ns=kept.query.as_of_ns, known=known
    )
    return evidence


def _stints(kept: Evidence) -> tuple[Stint, ...]:
    earlier = (
        Stint(one.model, one.received_since_ns, one.received_until_ns, one.trained_until_ns)
        for one in kept.earlier
    )
    own = Stint(kept.candidate, kept.received_since_ns, trained_until_ns=kept.trained_until_ns)
    return (*earlier, own)


def _plain(data: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(data))


def _differences(where: str, kept: Any, again: Any) -> Iterator[Difference]:
    if isinstance(kept, dict) and isinstance(again, dict):
        for name in {**kept, **again}:
            yield from _differences(f"{where}.{name}".lstrip("."), kept.get(name), again.get(name))
    elif isinstance(kept, list) and isinstance(again, list) and len(kept) == len(again):
        for place, (one, other) in enumerate(zip(kept, again, strict=True)):
            yield from _differences(f"{where}[{place}]", one, other)
    elif kept != again:
        yield Difference(where, json.dumps(kept), json.dumps(again))
