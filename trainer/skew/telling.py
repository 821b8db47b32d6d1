"""What the audit saw, as findings: one sentence each, with its figures beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.findings import Finding
from sidecar.signature import Kind
from trainer.days import iso_minute

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sidecar.bundle import Bundle
    from trainer.skew.inspection import Skew
    from trainer.skew.recomputation import Difference, Recomputation
    from trainer.skew.rows import Vocabulary

MONITOR = "skew"
RECOMPUTED = "recomputed"
"""What a finding is about whose rows are not what training's code computes from them."""
_CAUSES = {
    "unit": "the caller converts a unit that the training rows are not converted from, or no longer does",
    "swap": "the caller fills the two fields from each other's source",
    "zone": "the caller formats local time in another zone, or in UTC",
    "default": "the caller fills in a value where it has none; send the field as missing",
    "cast": "the caller stores or computes the field in a type with fewer digits",
    "stale": "the caller's cache or feed is no longer refreshed as often as it was",
    RECOMPUTED: "the rows were served or logged by another build than the one that audits, or changed since",
}


def of_skews(bundle: Bundle, skews: Sequence[Skew], vocabulary: Vocabulary) -> list[Finding]:
    """One finding for each kind of mistake with each field; clients that make the same one share it."""
    together: dict[tuple[str, tuple[str, ...]], list[Skew]] = {}
    for skew in skews:
        together.setdefault((skew.kind, skew.fields), []).append(skew)
    return [_of_skew(bundle, group, vocabulary) for group in together.values()]


def _of_skew(bundle: Bundle, group: Sequence[Skew], vocabulary: Vocabulary) -> Finding:
    worst, since_ns, rows = group[0], min(skew.since_ns for skew in group), sum(skew.rows for skew in group)
    clients = sorted({skew.client for skew in group})
    facts = dict(worst.facts)
    if "value" in facts and bundle.signature.by_name[worst.fields[0]].kind is Kind.TEXT:
        facts["value"] = vocabulary.text(facts["value"])
    value = f" ({facts['value']:.6g})" if isinstance(facts.get("value"), float) else ""
    return Finding(
        monitor=MONITOR,
        model=bundle.model.digest,
        subject=worst.fields[0],
        what=worst.kind,
        size=worst.verdict.level,
        since_ns=since_ns,
        text=(
            f"{' and '.join(worst.fields)} {worst.words}{value} by {_named(clients)} since "
            f"{iso_minute(since_ns)} UTC, in {rows:,} rows"
        ),
        cause=_CAUSES[worst.kind],
        evidence={
            "measure": "nats a row for the mistake, against none",
            "fields": list(worst.fields),
            "clients": clients,
            "rows": rows,
            "nats": worst.verdict.explained,
            "usual_nats_a_row_at_most": worst.verdict.natural,
            **facts,
        },
    )


def of_recomputation(bundle: Bundle, recomputation: Recomputation) -> list[Finding]:
    """One finding for each part of the answers that is not what training's code computes."""
    return [
        _of_difference(bundle, what, difference, recomputation.rows)
        for what, difference in recomputation.differences.items()
    ]


def _of_difference(bundle: Bundle, what: str, difference: Difference, compared: int) -> Finding:
    parts = difference.parts.most_common()
    named = f" ({', '.join(name for name, _ in parts[:3])})" if parts else ""
    clients = sorted(difference.clients)
    return Finding(
        monitor=MONITOR,
        model=bundle.model.digest,
        subject=what,
        what=RECOMPUTED,
        size=difference.rows / compared,
        since_ns=difference.since_ns,
        text=(
            f"{what}{named} of {difference.rows:,} of {compared:,} rows since "
            f"{iso_minute(difference.since_ns)} UTC are not what transform and model give for their raw "
            f"fields, by up to {difference.largest:.3g}"
        ),
        cause=_CAUSES[RECOMPUTED],
        evidence={
            "measure": "share of the rows compared",
            "rows": difference.rows,
            "compared": compared,
            "largest_difference": difference.largest,
            "features": dict(parts),
            "clients": clients,
        },
    )


def clients_of(findings: Iterable[Finding]) -> frozenset[str]:
    """Whose rows these findings say are wrong."""
    blamed = (finding.evidence["clients"] for finding in findings if finding.what != RECOMPUTED)
    return frozenset(client for clients in blamed for client in clients)


def _named(clients: Sequence[str]) -> str:
    return ", ".join(client or "callers that send no client-version" for client in clients)
