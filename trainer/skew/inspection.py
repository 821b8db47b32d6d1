"""One look at live rows: each client's are held against right ones, and what explains them best is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sidecar.signature import Kind
from trainer.skew.background import background
from trainer.skew.cast import casts
from trainer.skew.default import defaults
from trainer.skew.rows import NS_PER_HOUR
from trainer.skew.stale import frozen, lags
from trainer.skew.swap import reversals, swaps
from trainer.skew.unit import unit_changes
from trainer.skew.verdict import MIN_ROWS, judge
from trainer.skew.zone import zone_changes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sidecar.signature import Signature
    from trainer.skew.background import Background
    from trainer.skew.rows import AuditRows
    from trainer.skew.verdict import Suspicion, Verdict

ESTABLISHED_DAYS = 3
"""A client that sent rows on so many earlier days is held against those; a newcomer against the others."""
_SEED = 0


@dataclass(frozen=True)
class Skew:
    """A mistake that a client makes. fields: names. since_ns: the event time of the first row that has it.

    rows: how many since then. verdict: how sure it is. words, facts: as in `Suspicion`.
    """

    kind: str
    fields: tuple[str, ...]
    client: str
    since_ns: int
    rows: int
    words: str
    verdict: Verdict
    facts: Mapping[str, Any]


def inspect(
    signature: Signature, live: AuditRows, since_ns: int, trained_on: AuditRows, distrusted: frozenset[str]
) -> list[Skew]:
    """What is wrong with the live rows from `since_ns` on, by client; the worst first.

    live: those rows and the ones before, which say what is usual. trained_on: the snapshot's rows.
    distrusted: clients whose rows are known to be wrong; nobody is held against them.
    """
    window = live.between(since_ns, int(live.event_ns[-1]) + 1) if len(live) else live
    earlier = live.between(int(live.event_ns[0]), since_ns) if len(live) else live
    found: list[Skew] = []
    for client in _by_first_row(live):
        suspect = window.take(np.equal(window.client, client))
        if len(suspect) < MIN_ROWS:
            continue
        # Those that came before it are judged by now, so a wrong one is no measure for the next.
        others = _right_clients(live, client, earlier, distrusted)
        right = background(
            suspect,
            earlier.take(np.isin(earlier.client, others)),
            window.take(np.isin(window.client, [other for other in others if other != client])),
            trained_on,
            np.random.default_rng(_SEED),
        )
        if right is not None:
            history = live.take(np.isin(live.client, [other for other in others if other != client]))
            mistakes = list(_of_client(signature, client, suspect, right, history))
            found += mistakes
            distrusted |= {client} if mistakes else set()
    return sorted(found, key=lambda skew: -skew.verdict.evidence)


def _by_first_row(rows: AuditRows) -> list[str]:
    clients, first = np.unique(rows.client.astype(str), return_index=True)
    return [str(client) for client in clients[np.argsort(first)]]


def _right_clients(live: AuditRows, client: str, earlier: AuditRows, distrusted: frozenset[str]) -> list[str]:
    """Whose rows the client's are held against: clients that came before it, and itself on earlier days."""
    clients = _by_first_row(live)
    before = clients[: clients.index(client)]
    own = earlier.take(np.equal(earlier.client, client))
    days = len(np.unique(own.event_ns // (86_400 * 10**9)))
    trusted = [other for other in before if other not in distrusted]
    if days >= ESTABLISHED_DAYS and client not in distrusted:
        trusted.append(client)
    return trusted


def _of_client(
    signature: Signature, client: str, suspect: AuditRows, right: Background, history: AuditRows
) -> Iterator[Skew]:
    """The client's mistakes; of several explanations for a field, the one that explains most.

    One that gives right rows when it is undone goes before one that cannot be undone, and one that blames two
    fields must explain twice as much.
    """
    judged = [
        (suspicion, verdict)
        for suspicion in _suspicions(signature, suspect, right, history)
        if (verdict := judge(suspicion, suspect.event_ns // NS_PER_HOUR, right.block)) is not None
    ]
    explained: set[int] = set()
    for suspicion, verdict in sorted(judged, key=_preference, reverse=True):
        if explained.isdisjoint(suspicion.fields):
            explained.update(suspicion.fields)
            yield Skew(
                kind=suspicion.kind,
                fields=tuple(signature.fields[place].name for place in suspicion.fields),
                client=client,
                since_ns=int(suspect.event_ns[verdict.first]),
                rows=verdict.rows,
                words=suspicion.words,
                verdict=verdict,
                facts=suspicion.facts,
            )


def _preference(judged: tuple[Suspicion, Verdict]) -> tuple[bool, float]:
    suspicion, verdict = judged
    return suspicion.fit is not None, verdict.explained / len(suspicion.fields)


def _suspicions(
    signature: Signature, suspect: AuditRows, right: Background, history: AuditRows
) -> Iterator[Suspicion]:
    places = range(len(signature.fields))
    texts = [place for place in places if signature.fields[place].kind is Kind.TEXT]
    numbers: Sequence[int] = [place for place in places if place not in texts]
    yield from unit_changes(suspect, right, numbers)
    yield from swaps(suspect, right, numbers, texts)
    yield from reversals(suspect, right, numbers)
    yield from zone_changes(suspect, right, numbers)
    yield from defaults(suspect, right, places)
    yield from casts(suspect, right, numbers)
    yield from lags(suspect, right, history, numbers, texts)
    yield from frozen(suspect, right, numbers, texts)
