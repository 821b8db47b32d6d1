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

    from numpy.typing import NDArray

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
        trusted = _right_clients(live, client, earlier, distrusted)
        others = [other for other in trusted if other != client]
        right = _Right(
            earlier.take(np.isin(earlier.client, trusted)),
            window.take(np.isin(window.client, others)),
            live.take(np.isin(live.client, others)),
            trained_on,
        )
        mistakes = list(_of_client(signature, client, suspect, right))
        found += mistakes
        distrusted |= {client} if mistakes else set()
    return sorted(found, key=lambda skew: -skew.verdict.evidence)


@dataclass(frozen=True, eq=False)
class _Right:
    """Rows that a client's are held against: logged before, at the same time by others, and trained on.

    history: the others', from before the window to its end.
    """

    earlier: AuditRows
    now: AuditRows
    history: AuditRows
    trained_on: AuditRows

    def like(self, suspect: AuditRows, fields: Sequence[int]) -> _Right:
        """Those that have the value of the suspect's rows in each of these fields where they have only one.

        A client at one airport is no more alike to all airports together than one airport is.
        """
        same = [field for field in fields if (suspect.values[:, field] == suspect.values[0, field]).all()]
        wanted = suspect.values[0, same]
        parts = (self.earlier, self.now, self.history, self.trained_on)
        return _Right(*(rows.take((rows.values[:, same] == wanted).all(axis=1)) for rows in parts))

    def background(self, suspect: AuditRows) -> Background | None:
        generator = np.random.default_rng(_SEED)
        return background(suspect, self.earlier, self.now, self.trained_on, generator)


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


def _of_client(signature: Signature, client: str, suspect: AuditRows, right: _Right) -> Iterator[Skew]:
    """The client's mistakes; of several explanations for a field, the one that explains most.

    One that gives right rows when it is undone goes before one that cannot be undone, and one that blames two
    fields must explain twice as much.
    """
    hour = suspect.event_ns // NS_PER_HOUR
    judged = [
        (suspicion, verdict)
        for suspicion, block in _suspicions(signature, suspect, right)
        if (verdict := judge(suspicion, hour, block)) is not None
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
    signature: Signature, suspect: AuditRows, right: _Right
) -> Iterator[tuple[Suspicion, NDArray[np.int64]]]:
    """Every suspicion, and the block of each row of its background.

    Texts say of which kind rows are, so theirs are held against all; numbers against rows of the same kind.
    """
    places = range(len(signature.fields))
    texts = [place for place in places if signature.fields[place].kind is Kind.TEXT]
    units = {place: signature.fields[place].unit for place in places if place not in texts}
    every = right.background(suspect)
    if every is not None:
        yield from ((found, every.block) for found in _of_texts(suspect, every, texts))
    alike = right.like(suspect, texts)
    near = alike.background(suspect)
    if near is not None:
        found_in = _of_numbers(suspect, near, alike.history, units, texts)
        yield from ((found, near.block) for found in found_in)


def _of_texts(suspect: AuditRows, right: Background, texts: Sequence[int]) -> Iterator[Suspicion]:
    yield from swaps(suspect, right, texts, are_numbers=False)
    yield from defaults(suspect, right, texts)


def _of_numbers(
    suspect: AuditRows,
    right: Background,
    history: AuditRows,
    units: Mapping[int, str],
    texts: Sequence[int],
) -> Iterator[Suspicion]:
    """units: the declared one of each field of numbers, by its place."""
    numbers = list(units)
    yield from unit_changes(suspect, right, units)
    yield from swaps(suspect, right, numbers, are_numbers=True)
    yield from reversals(suspect, right, numbers)
    yield from zone_changes(suspect, right, numbers)
    yield from defaults(suspect, right, numbers)
    yield from casts(suspect, right, numbers)
    yield from lags(suspect, right, history, numbers, texts)
    yield from frozen(suspect, right, numbers, texts)
