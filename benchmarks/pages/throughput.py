"""The page of "throughput": requests a second, and the costs that were measured with them."""

from __future__ import annotations

from typing import Any

from benchmarks.lineup import LINEUP, VARIANTS
from benchmarks.pages.markdown import number, page, provenance, spread, table
from benchmarks.pages.rows import rounds, shares, summary
from benchmarks.payload import infer, infer_block
from benchmarks.statistics import Summary, ratio
from benchmarks.throughput import MAIN, MANY_ROWS, SHAPES, SINGLE

_COMMAND = "python -m benchmarks run throughput"
_NAMES = tuple(server.name for server in LINEUP)
_VARIANTS = tuple(server.name for server in VARIANTS)


def render_throughput(result: dict[str, Any]) -> str:
    """Requests a second by shape, ratios to the native engine, and the peers' other variants."""
    return page(
        "Throughput: closed loop",
        f"Requests a second at connections x streams, one row each: medians of {result['rounds']} rounds "
        "(least to most). The same bytes go to every server, which runs the same graph with the same session "
        "options (one thread, no spinning); scores and decisions were equal to the graph's own, bit for bit, "
        "before and after each server's runs, and the replies' bytes were counted, because h2load takes a "
        "gRPC error for a success. The sidecar validates, keys and records requests; the peers do not.",
        _rates(result),
        "## Rows recorded meanwhile",
        "Part of the answered rows that reached the log; the rest found the ring full and was dropped and "
        "counted, which is what the ring is for: recording never holds up a reply. With two cores, one for "
        "the load and one for the answers, the recorder gets what they leave.",
        _recorded(result),
        "## Ratios at " + str(MAIN),
        "The native engine's requests a second divided by another's, round by round. `fields`: the sidecar's "
        "own form of request, a tensor for each field, sent to both. `block`: the other server gets one "
        "tensor of all fields, which is less to decode; the native engine still gets one for each field.",
        _ratios(result),
        "## 1x1",
        "The median time of one request with nothing else in progress, in microseconds. Most of it is the "
        "waking up of two processes.",
        _single(result),
        "## Other ways to run a server",
        "Tried to see that the peers above are at their best, and what two threads that answer make of the "
        "sidecar, which has one for every two cores unless it is told otherwise.",
        _variants(result),
        provenance(result, _COMMAND, result["command"]),
    )


def render_footprint(result: dict[str, Any]) -> str:
    """Memory, start-up and CPU time."""
    starts, rows = result["starts"], result["measurements"]
    lines = []
    for name in _NAMES:
        start = summary(starts, lambda row: row["start_seconds"], server=name)
        fresh = summary(starts, lambda row: row["rss_bytes"] / 2**20, server=name)
        loaded = _main(rows, name, lambda row: row["rss_bytes"] / 2**20)
        cpu = _main(rows, name, lambda row: row["cpu_seconds_per_10000"])
        if start and fresh and loaded and cpu:
            lines.append(
                [
                    result["labels"][name],
                    spread(start),
                    number(fresh.median),
                    number(loaded.median),
                    spread(cpu),
                ]
            )
    return page(
        "Memory, start-up and CPU time",
        f"Medians of {result['rounds']} rounds (least to most), over all processes of a server. Start: until "
        "the first answer. Memory: resident, pages that processes share counted once for each; after the "
        f"start, and after load at {MAIN}. CPU time: user and system, for 10,000 one-row requests at {MAIN}; "
        "the sidecar's includes recording them.",
        table(["server", "start, s", "memory, MB", "after load, MB", "CPU s / 10,000"], lines),
        provenance(result, _COMMAND, result["command"]),
    )


def rate_rounds(result: dict[str, Any], name: str, payload: str, shape: str) -> list[float]:
    """Requests a second in each round."""
    return rounds(result["measurements"], lambda row: row["rate"], server=name, payload=payload, shape=shape)


def _rates(result: dict[str, Any]) -> str:
    head = ["server", *map(str, SHAPES), f"{MAIN}, {MANY_ROWS} rows"]
    lines = []
    for name in _NAMES:
        cells = [rate_rounds(result, name, infer(1).name, str(shape)) for shape in SHAPES]
        cells.append(rate_rounds(result, name, infer(MANY_ROWS).name, str(MAIN)))
        if any(cells):
            lines.append([result["labels"][name], *map(_cell, cells)])
    return table(head, lines)


def _recorded(result: dict[str, Any]) -> str:
    lines = []
    for name in _NAMES[:2]:
        rows = [row for row in result["measurements"] if row["server"] == name]
        cells = []
        for payload, shape in (*((infer(1), shape) for shape in SHAPES), (infer(MANY_ROWS), MAIN)):
            of = [row for row in rows if (row["payload"], row["shape"]) == (payload.name, str(shape))]
            cells.append(_cell(shares(of, "rows", "written", "served")))
        if any(cells):
            lines.append([result["labels"][name], *cells])
    return table(["server", *map(str, SHAPES), f"{MAIN}, {MANY_ROWS} rows"], lines)


def _ratios(result: dict[str, Any]) -> str:
    lines = []
    for name in (*_NAMES[1:], *_VARIANTS):
        cells = []
        for rows in (1, MANY_ROWS):
            ours = rate_rounds(result, _NAMES[0], infer(rows).name, str(MAIN))
            for payload in (infer(rows), infer_block(rows)):
                theirs = rate_rounds(result, name, payload.name, str(MAIN))
                cells.append(spread(ratio(ours, theirs)) if ours and theirs else "")
        if any(cells):
            lines.append([result["labels"][name], *cells])
    head = ["native divided by", "1 row, fields", "block", f"{MANY_ROWS} rows, fields", "block"]
    return table(head, lines)


def _single(result: dict[str, Any]) -> str:
    lines = []
    for name in (*_NAMES, *_VARIANTS):
        found = rounds(result["measurements"], lambda row: row["median_us"], server=name, shape=str(SINGLE))
        ours = rounds(
            result["measurements"], lambda row: row["median_us"], server=_NAMES[0], shape=str(SINGLE)
        )
        if found:
            against = spread(ratio(ours, found)) if ours and name != _NAMES[0] else ""
            lines.append([result["labels"][name], _cell(found), against])
    return table(["server", "median, us", "native divided by it"], lines)


def _variants(result: dict[str, Any]) -> str:
    lines = []
    for name in _VARIANTS:
        found = rate_rounds(result, name, infer(1).name, str(MAIN))
        if found:
            lines.append([result["labels"][name], _cell(found)])
    return table(["server", str(MAIN)], lines)


def _main(rows: list[dict[str, Any]], name: str, value: Any) -> Summary | None:
    return summary(rows, value, server=name, payload=infer(1).name, shape=str(MAIN))


def _cell(values: list[float]) -> str:
    return spread(Summary.of(values)) if values else ""
