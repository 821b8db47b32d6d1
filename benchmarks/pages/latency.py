"""The page of "latency"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.latency import ENGINES, PEERS, SHARES
from benchmarks.pages.markdown import number, page, provenance, spread, table
from benchmarks.pages.rows import rounds, summary
from benchmarks.statistics import ratio

if TYPE_CHECKING:
    from collections.abc import Callable

PERCENTILES = ("p50", "p90", "p99", "p999", "max")
_HEAD = ["p50", "p90", "p99", "p99.9", "max"]


def render_latency(result: dict[str, Any]) -> str:
    """Percentiles by rate and transport, and beside each peer at half of its capacity."""
    return page(
        "Latency: open loop",
        "Microseconds, one row a request, over four connections; medians over "
        f"{result['rounds']} rounds of {result['seconds']:g} s. Calls arrive as independent callers' do "
        "(Poisson, the same times for every server) whatever the replies do, and each one's latency counts "
        "from its intended time, so a server that pauses is charged for every call that fell into the pause. "
        "`late`: the median by which the load generator itself, which sleeps between calls, was late; it is "
        "part of every latency here. Failed: calls without grpc-status 0, of all rounds.",
        *(_by_rate(result, server.name) for server in ENGINES if server.name in result["capacities"]),
        "## Beside each peer at half of its capacity",
        "Both servers get the same rate: half of what the peer reaches in a closed loop.",
        _beside(result),
        provenance(result, "python -m benchmarks run latency", result["command"]),
    )


def p99_rounds(result: dict[str, Any], server: str, of: str) -> list[float]:
    """The p99 of a server at half of the capacity of another, in each round."""
    return rounds(
        result["measurements"],
        _percentile("p99"),
        server=server,
        of=of,
        share=0.5,
        transport="tcp",
    )


def _by_rate(result: dict[str, Any], name: str) -> str:
    lines = [
        [f"{share:.0%}, {transport.upper()}", *cells]
        for transport in ("tcp", "uds")
        for share in SHARES
        if (cells := _cells(result, server=name, of=name, transport=transport, share=share))
    ]
    head = ["of capacity", "requests/s", *_HEAD, "late", "failed"]
    return (
        f"## {result['labels'][name]}\n\nCapacity: {number(result['capacities'][name])} requests/s.\n\n"
        + table(head, lines)
    )


def _beside(result: dict[str, Any]) -> str:
    lines = []
    for peer in PEERS:
        if peer.name not in result["capacities"]:
            continue
        for server in (peer.name, ENGINES[0].name):
            cells = _cells(result, server=server, of=peer.name, transport="tcp", share=0.5)
            ours = p99_rounds(result, ENGINES[0].name, peer.name)
            theirs = p99_rounds(result, peer.name, peer.name)
            if cells:
                against = spread(ratio(ours, theirs)) if server != peer.name and theirs else ""
                lines.append([result["labels"][server], *cells, against])
    return table(["server", "requests/s", *_HEAD, "late", "failed", "p99: native divided by peer"], lines)


def _cells(result: dict[str, Any], **keys: Any) -> list[str]:
    rows = result["measurements"]
    rate = summary(rows, lambda row: row["achieved_rate"], **keys)
    if rate is None:
        return []
    latencies = [summary(rows, _percentile(at), **keys) for at in PERCENTILES]
    late = summary(rows, lambda row: row["lateness_us"]["p50"], **keys)
    failed = sum(rounds(rows, lambda row: row["sent"] - row["ends"].get("0", 0), **keys))
    return [number(found.median) for found in (rate, *latencies, late) if found] + [f"{failed:,}"]


def _percentile(name: str) -> Callable[[dict[str, Any]], float]:
    return lambda row: float(row["latency_us"][name])
