"""The audit of a home: reads its log, holds it against bundle and snapshot, and keeps the findings."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from sidecar.bundle import open_bundle
from sidecar.errors import NotFoundError
from sidecar.signature import Blocks
from sidecar.store.reader import LogReader
from trainer.days import nanoseconds
from trainer.skew.inspection import inspect
from trainer.skew.log_sample import logged_rows, sample
from trainer.skew.recomputation import Recomputation
from trainer.skew.rows import AuditRows, Vocabulary, audit_rows, concat
from trainer.skew.telling import MONITOR, clients_of, of_recomputation, of_skews
from trainer.snapshot import open_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sidecar.bundle import Bundle
    from sidecar.config import Config
    from sidecar.domain import ServedBatch
    from sidecar.findings import Finding, FindingStore
    from sidecar.registry import Registry
    from sidecar.signature import Signature
    from trainer.skew.log_sample import LoggedRows
    from trainer.snapshot import Snapshot

WINDOW = timedelta(days=1)
EARLIER = timedelta(days=7)
"""How far before the window the rows lie that say what is usual."""
MOST_ROWS = 20_000
"""Rows of the window that are audited, and as many of the time before it; of more, a sample."""


@dataclass(frozen=True)
class Audit:
    """What one look found about one model.

    rows: that it served in the window, by client; of more than MOST_ROWS, those in the sample. compared:
    rows computed again. opened: the findings that were not open before.
    """

    model: str
    rows: Mapping[str, int]
    compared: int
    found: Sequence[Finding]
    opened: Sequence[Finding]


class Auditor:
    """Looks at the log of one home, as often as it is told to. Bundles and snapshots are read once."""

    def __init__(self, config: Config, registry: Registry, findings: FindingStore) -> None:
        self._config = config
        self._registry = registry
        self._findings = findings
        self._bundles: dict[str, Bundle] = {}
        self._snapshots: dict[str, Snapshot | None] = {}

    def look(self, *, window: timedelta = WINDOW, every_row: bool = False) -> list[Audit]:
        """Audit the rows of the `window` that ends with the log's newest event, model by model.

        every_row: compute all of them again, not a sample. Raises NotFoundError when nothing was served.
        """
        with LogReader(self._config.log_path) as reader:
            newest_ns = reader.watermark_ns()
            if newest_ns is None:
                raise NotFoundError("nothing was served yet; there is nothing to audit")
            since_ns = newest_ns + 1 - nanoseconds(window)
            served = {batch.model.digest for batch in reader.served(since_ns=since_ns)}
            audits = [
                self._audit(reader, digest, since_ns, newest_ns, every_row=every_row)
                for digest in sorted(served)
            ]
        # What was found about a model that answers no more is over.
        open_about = {one.finding.model for one in self._findings.open() if one.finding.monitor == MONITOR}
        for digest in sorted(open_about - served):
            self._findings.report(MONITOR, digest, [], newest_ns)
        return audits

    def _audit(
        self, reader: LogReader, digest: str, since_ns: int, newest_ns: int, *, every_row: bool
    ) -> Audit:
        bundle = self._bundle(digest)
        now = sample(reader.served(since_ns=since_ns, champion=digest), MOST_ROWS)
        assert now is not None, "the caller has seen rows of this model"
        recomputation = Recomputation(bundle)
        if every_row:
            for batch in reader.served(since_ns=since_ns, champion=digest):
                recomputation.compare(logged_rows(batch))
        else:
            recomputation.compare(now)
        found = [
            *of_recomputation(bundle, recomputation),
            *self._skews(reader, bundle, now, since_ns),
        ]
        opened = self._findings.report(MONITOR, digest, found, newest_ns)
        return Audit(digest, Counter(now.client.tolist()), recomputation.rows, found, opened)

    def _skews(self, reader: LogReader, bundle: Bundle, now: LoggedRows, since_ns: int) -> list[Finding]:
        signature, vocabulary = bundle.signature, Vocabulary()
        earlier = sample(self._alike(reader, signature, since_ns), MOST_ROWS)
        parts = [
            audit_rows(signature, vocabulary, rows.blocks, rows.event_ns, rows.client)
            for rows in (earlier, now)
            if rows is not None
        ]
        trained_on = self._trained_on(bundle, vocabulary)
        distrusted = clients_of(
            one.finding for one in self._findings.open(bundle.model.digest) if one.finding.monitor == MONITOR
        )
        skews = inspect(signature, concat(parts), since_ns, trained_on, distrusted)
        return of_skews(bundle, skews, vocabulary)

    def _alike(self, reader: LogReader, signature: Signature, until_ns: int) -> Iterator[ServedBatch]:
        """Rows of the time before, whichever model answered them, if they have the same fields."""
        for batch in reader.served(since_ns=until_ns - nanoseconds(EARLIER), until_ns=until_ns):
            if self._bundle(batch.model.digest).signature.digest == signature.digest:
                yield batch

    def _trained_on(self, bundle: Bundle, vocabulary: Vocabulary) -> AuditRows:
        snapshot = self._snapshot(str(bundle.manifest["snapshot"]))
        if snapshot is None or snapshot.signature.digest != bundle.signature.digest:
            return _no_rows(bundle.signature, vocabulary)
        nobody = np.full(len(snapshot), "", object)
        return audit_rows(snapshot.signature, vocabulary, snapshot.blocks, snapshot.event_ns, nobody)

    def _bundle(self, digest: str) -> Bundle:
        if digest not in self._bundles:
            self._bundles[digest] = open_bundle(self._registry.find(digest).path)
        return self._bundles[digest]

    def _snapshot(self, digest: str) -> Snapshot | None:
        """The snapshot, None when it is not here: then only earlier rows say what is usual."""
        if digest not in self._snapshots:
            try:
                self._snapshots[digest] = open_snapshot(self._config.snapshots_path / digest)
            except NotFoundError:
                self._snapshots[digest] = None
        return self._snapshots[digest]


def _no_rows(signature: Signature, vocabulary: Vocabulary) -> AuditRows:
    nothing = Blocks(
        np.empty((0, len(signature.numbers)), np.float32),
        np.empty((0, len(signature.integers)), np.int64),
        np.empty((0, len(signature.texts)), object),
    )
    return audit_rows(signature, vocabulary, nothing, np.empty(0, np.int64), np.empty(0, object))
