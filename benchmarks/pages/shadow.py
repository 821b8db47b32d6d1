"""The page of "shadow": what a candidate costs the replies."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.h2load import WARM_UP_SECONDS
from benchmarks.pages.markdown import number, page, provenance, spread, table
from benchmarks.pages.rows import rounds, shares, summary
from benchmarks.shadow import OTHER_CORE, SERVER_CORE, SHADOWED
from benchmarks.statistics import Summary

_USED = 0.005  # cores; what is less goes unmentioned


def render_shadow(result: dict[str, Any]) -> str:
    """Throughput and p99 with and without a candidate, and who used the processor."""
    rates = [row["open_rate"] for row in result["measurements"]]
    return page(
        "The shadow tax",
        "The native engine, recording, with one candidate shadowed and without: "
        f"medians of {result['rounds']} interleaved rounds (least to most). Requests a second at 4x8; p99 in "
        f"microseconds in an open loop at {number(min(rates))} to {number(max(rates))} requests/s, half of "
        "what was answered without a candidate at the start of the round. Ratios are of the same round, to "
        "the condition without a candidate. Pinned: the server may run on core "
        f"{SERVER_CORE} only, load generator and worker on core {OTHER_CORE} only. Idle: the worker runs "
        "under SCHED_IDLE, otherwise with that niceness. In each case it rests after 0.3 ms of work.",
        _costs(result),
        "## What became of the rows",
        "Of the answered rows: the part that reached the log, and the part that the candidate was not given "
        "because its queue was full (shed, which is counted for it). A candidate that sheds rows is not "
        "tried less: its scores are fewer.",
        _rows(result),
        "## Whose processor time",
        "Cores used during the closed loop (1 is a whole core), by thread of the server and by the worker. "
        "With all cores busy, what the worker gets somebody else does not. `main` and `sidecar` are Python's "
        "threads; nearly all of the latter is the recorder: what recording itself costs. `interrupts` is "
        "mostly the network's part of the kernel.",
        _cores(result),
        "The last column is what shadowing costs the request path itself. A candidate takes from `idle` "
        "first. Where time is left idle while throughput falls, it was not to be had where it was wanted: "
        "three parties share two cores, and the scheduler places them. The pinned conditions take that "
        "choice from it.",
        "## What to provision",
        _provision(result),
        provenance(result, "python -m benchmarks run shadow"),
    )


def kept_rounds(result: dict[str, Any], condition: str) -> tuple[list[float], list[float]]:
    """Throughput and p99 of a condition, divided by its base's, in each round."""
    base = result["bases"][condition]
    pairs = []
    for value in (_rate, _p99):
        ours = rounds(result["measurements"], value, condition=condition)
        theirs = rounds(result["measurements"], value, condition=base)
        pairs.append([mine / other for mine, other in zip(ours, theirs, strict=True)])
    return pairs[0], pairs[1]


def request_cpu_rounds(result: dict[str, Any], condition: str, base: str) -> list[float]:
    """CPU time of the event loops for a request under a condition, divided by its base's, in each round."""
    ours = rounds(result["measurements"], _request_cpu_us, condition=condition)
    theirs = rounds(result["measurements"], _request_cpu_us, condition=base)
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def _costs(result: dict[str, Any]) -> str:
    lines = []
    for condition, label in result["labels"].items():
        rate = summary(result["measurements"], _rate, condition=condition)
        p99 = summary(result["measurements"], _p99, condition=condition)
        cells = ["", ""]
        if result["bases"][condition]:
            cells = [spread(Summary.of(kept)) for kept in kept_rounds(result, condition)]
        if rate and p99:
            lines.append([label, spread(rate), cells[0], spread(p99), cells[1]])
    return table(["", "requests/s", "ratio", "p99, us", "ratio"], lines)


def _rows(result: dict[str, Any]) -> str:
    lines = []
    for condition, label in result["labels"].items():
        rows = [row for row in result["measurements"] if row["condition"] == condition]
        cells = [
            spread(Summary.of(found)) if (found := shares(rows, of, part, "served")) else ""
            for of in ("closed_rows", "open_rows")
            for part in ("written", "shed")
        ]
        lines.append([label, *cells])
    head = ["", "saturated: recorded", "saturated: shed", "half load: recorded", "half load: shed"]
    return table(head, lines)


def _cores(result: dict[str, Any]) -> str:
    names: dict[str, None] = {}
    for row in result["measurements"]:
        names |= dict.fromkeys(name for name, used in row["cores_used"].items() if used > _USED)
    lines = []
    for condition, label in result["labels"].items():
        used = [row["cores_used"] for row in result["measurements"] if row["condition"] == condition]
        cores = (f"{median(each.get(name, 0.0) for each in used):.2f}" for name in names)
        request = summary(result["measurements"], _request_cpu_us, condition=condition)
        lines.append([label, *cores, spread(request) if request else ""])
    return table(["", *names, "event loop, us a request"], lines)


def _provision(result: dict[str, Any]) -> str:
    rows = [row for row in result["measurements"] if row["condition"] == SHADOWED and row["closed_rows"]]
    scored = [row for row in rows if row["closed_rows"]["scored"]]
    if not scored:
        return ""
    took = result["seconds"] + WARM_UP_SECONDS
    loop = median(_request_cpu_us(row) for row in rows)
    worker = median(
        1e6 * took * row["cores_used"]["shadow worker"] / row["closed_rows"]["scored"] for row in scored
    )
    return (
        f"A row costs the event loop {number(loop)} us of a core and each candidate's worker "
        f"{number(worker)} us, here. At 10,000 requests a second that is {number(loop / 100)} cores for the "
        f"replies and {number(worker / 100)} for each candidate, beside what the application uses. Where the "
        "cores are not there, replies go first, candidates shed rows, and the gate holds for want of "
        "coverage: so provision them beside a core for each event loop, keep the server on cores of its own "
        "(a CPU set) where p99 matters, or shadow fewer candidates at a time."
    )


def _rate(row: dict[str, Any]) -> float:
    return float(row["rate"])


def _request_cpu_us(row: dict[str, Any]) -> float:
    loops = sum(used for name, used in row["cores_used"].items() if name.startswith("event-loop"))
    return 1e6 * float(loops) / _rate(row)


def _p99(row: dict[str, Any]) -> float:
    return float(row["latency_us"]["p99"])
