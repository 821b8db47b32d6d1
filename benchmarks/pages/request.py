"""The page of "request": where the time goes, and the distance to the floor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.latency import ENGINES
from benchmarks.pages.markdown import page, provenance, spread, table
from benchmarks.pages.rows import rounds, summary
from benchmarks.payload import infer, live, predict
from benchmarks.statistics import ratio

if TYPE_CHECKING:
    from collections.abc import Callable

_NS = 1000.0


def render_request(result: dict[str, Any]) -> str:
    """Stages of one request, the distance to the floor, and what the same calls reach at 4x8."""
    names = [server.name for server in ENGINES if floor_rounds(result, server.name, infer(1).name)]
    return page(
        "Where the time of one request goes",
        f"Medians of {result['rounds']} rounds (least to most), microseconds at 1x1, one row.",
        "## Stages",
        "From the timings in the replies to Predict. Wire: what the caller saw beyond them: two wake-ups, "
        "system calls, HTTP/2 and gRPC on both sides.",
        _stages(result, names),
        "## Distance to the floor",
        "The floor is the ONNX Runtime run that the request contains plus an empty call (ServerLive) to the "
        "same server, measured by the same client. The distance is the whole request divided by that: what "
        "is left is decoding, checking against the signature, encoding, and handing the row to the recorder.",
        _floor(result, names),
        "## The same calls at 4x8",
        "Requests a second; without wake-ups to wait for.",
        _rates(result, names),
        provenance(result, "python -m benchmarks run request"),
    )


def floor_rounds(result: dict[str, Any], server: str, payload: str) -> list[float]:
    """The distance to the floor in each round."""
    rows = result["measurements"]
    whole = rounds(rows, lambda row: row["median_us"][payload], server=server)
    floor = rounds(
        rows,
        lambda row: row["median_us"][live().name] + row["stages_ns"]["infer"] / _NS,
        server=server,
    )
    return [request / least for request, least in zip(whole, floor, strict=True)]


def _stages(result: dict[str, Any], names: list[str]) -> str:
    stages = ("queue", "decode", "infer", "encode", "wire", "whole")
    lines = []
    for name in names:
        cells = [
            summary(result["measurements"], _at("stages_ns", stage, 1 / _NS), server=name) for stage in stages
        ]
        lines.append([result["labels"][name], *(spread(cell) for cell in cells if cell)])
    return table(["server", *stages], lines)


def _floor(result: dict[str, Any], names: list[str]) -> str:
    rows = result["measurements"]
    lines = []
    for name in names:
        run = summary(rows, lambda row: row["stages_ns"]["infer"] / _NS, server=name)
        empty = summary(rows, lambda row: row["median_us"][live().name], server=name)
        for payload in (infer(1), predict()):
            whole = summary(rows, _at("median_us", payload.name), server=name)
            distance = floor_rounds(result, name, payload.name)
            if run and empty and whole:
                shown = ratio(distance, [1.0] * len(distance))
                call = payload.method.rpartition("/")[2]
                lines.append([f"{result['labels'][name]}, {call}", *map(spread, (whole, run, empty, shown))])
    return table(["call", "request", "its run", "empty call", "distance"], lines)


def _rates(result: dict[str, Any], names: list[str]) -> str:
    lines = []
    payloads = (live(), predict(), infer(1))
    for name in names:
        cells = [
            summary(result["measurements"], _at("rate", payload.name), server=name) for payload in payloads
        ]
        lines.append([result["labels"][name], *(spread(cell) for cell in cells if cell)])
    return table(["server", *(payload.method.rpartition("/")[2] for payload in payloads)], lines)


def _at(kind: str, name: str, scale: float = 1.0) -> Callable[[dict[str, Any]], float]:
    return lambda row: float(row[kind][name] * scale)
