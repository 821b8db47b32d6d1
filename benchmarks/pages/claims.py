"""The first page: what was claimed, and what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.lineup import (
    GRPCIO,
    GRPCIO_TWICE,
    LINEUP,
    MLSERVER,
    MLSERVER_IN_PROCESS,
    NATIVE,
    NATIVE_TWICE,
    PYGRPC,
    PYGRPC_SINGLE,
    VARIANTS,
)
from benchmarks.pages.latency import p99_rounds
from benchmarks.pages.markdown import number, page, spread, table
from benchmarks.pages.request import floor_rounds
from benchmarks.pages.rows import fault, rounds, shares
from benchmarks.pages.shadow import kept_rounds, request_cpu_rounds
from benchmarks.pages.soak import complete, failures, growth
from benchmarks.pages.throughput import rate_rounds
from benchmarks.pages.transform import ratio_rounds
from benchmarks.payload import infer, infer_block
from benchmarks.shadow import SHADOWED
from benchmarks.statistics import Summary
from benchmarks.throughput import MAIN, MANY_ROWS, SINGLE
from benchmarks.transform import EMPTY, SIZES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.servers import Server

_LABELS = {server.name: server.label for server in (*LINEUP, *VARIANTS)}


@dataclass(frozen=True, slots=True)
class Claim:
    """A ratio with a bound. at_least: the bound is the least that holds, else the most."""

    text: str
    bound: float
    at_least: bool
    found: list[float]
    fault: str = ""
    """Why the figures do not count."""

    def row(self) -> list[str]:
        """How the page shows it."""
        bound = f"{'at least' if self.at_least else 'at most'} {number(self.bound)}"
        if not self.found:
            return [self.text, bound, "not measured", ""]
        summary = Summary.of(self.found)
        holds = summary.median >= self.bound if self.at_least else summary.median <= self.bound
        verdict = "yes" if holds else "**no**"
        return [self.text, bound, spread(summary), f"**no**: {self.fault}" if self.fault else verdict]


def render_claims(results: Mapping[str, dict[str, Any] | None]) -> str:
    """Every claim beside what was measured, and links to the pages."""
    claims: list[Claim] = []
    for name, made in (
        ("throughput", _throughput),
        ("latency", _latency),
        ("request", _request),
        ("shadow", _shadow),
        ("transform", _transform),
    ):
        result = results[name]
        claims += made(result) if result else []
    soak = results["soak"]
    lines = [claim.row() for claim in claims] + (_soak(soak) if soak else [])
    return page(
        "Benchmarks",
        "The native engine, with its recorder on (the pages say which part of the rows it kept up with at "
        "saturation), beside other servers of the same graph. Each figure is a "
        "ratio within one round of one run: median (least to most). `make bench` measures all of this and "
        "renders these pages; `make soak` is the long one.",
        table(["claim", "bound", "measured", "holds"], lines),
        "How it was measured, and everything else that was: [throughput](throughput.md), "
        "[latency](latency.md), [where the time goes](request.md), [memory, start-up and CPU "
        "time](footprint.md), [the shadow tax](shadow.md), [the transform](transform.md), [soak](soak.md).",
    )


def best(
    result: dict[str, Any], servers: tuple[Server, ...], figure: Callable[[str], list[float]], *, least: bool
) -> tuple[str, list[float]]:
    """The server of a kind with the best median of `figure`, and its rounds."""
    found = {server.name: figure(server.name) for server in servers if server.name in result["labels"]}
    ranked = sorted(
        (name for name, values in found.items() if values),
        key=lambda name: Summary.of(found[name]).median,
        reverse=not least,
    )
    return (ranked[0], found[ranked[0]]) if ranked else ("", [])


def _family(server: Server) -> tuple[Server, ...]:
    return (server, *(each for each in VARIANTS if each.name.startswith(server.name)))


def _throughput(result: dict[str, Any]) -> list[Claim]:
    claims = []
    for servers, rows, bound in (
        (_family(GRPCIO), 1, 15.0),
        ((MLSERVER, MLSERVER_IN_PROCESS), 1, 20.0),
        (_family(PYGRPC), 1, 1.3),
        (_family(PYGRPC), MANY_ROWS, 1.8),
    ):
        ours = rate_rounds(result, NATIVE.name, infer(rows).name, str(MAIN))
        for payload, words in (
            (infer(rows), ""),
            (infer_block(rows), ", which gets one tensor of all fields"),
        ):

            def rate(name: str, payload: str = payload.name) -> list[float]:
                return rate_rounds(result, name, payload, str(MAIN))

            name, theirs = best(result, servers, rate, least=False)
            count = "1 row" if rows == 1 else f"{rows} rows"
            text = f"requests/s at {MAIN}, {count}: native / {_LABELS.get(name, servers[0].label)}{words}"
            if theirs or not words:
                claims.append(Claim(text, bound, at_least=True, found=_divided(ours, theirs)))
    claims.append(_as_many(result))
    for server, bound in ((GRPCIO, 0.35), (PYGRPC, 0.85)):

        def time(name: str) -> list[float]:
            return rounds(
                result["measurements"], lambda row: row["median_us"], server=name, shape=str(SINGLE)
            )

        name, theirs = best(result, _family(server), time, least=True)
        text = f"median time at {SINGLE}: native / {_LABELS.get(name, server.label)}"
        claims.append(Claim(text, bound, at_least=False, found=_divided(time(NATIVE.name), theirs)))
    return claims


def _as_many(result: dict[str, Any]) -> Claim:
    """Two threads that answer beside two processes that do."""
    ours, theirs = (
        rate_rounds(result, server.name, infer(1).name, str(MAIN)) for server in (NATIVE_TWICE, GRPCIO_TWICE)
    )
    text = f"requests/s at {MAIN}, 1 row: native, 2 event loops / {GRPCIO_TWICE.label}"
    return Claim(text, 15.0, at_least=True, found=_divided(ours, theirs))


def _latency(result: dict[str, Any]) -> list[Claim]:
    return [
        Claim(
            f"p99 at half of the peer's capacity: native / {peer.label}",
            bound,
            at_least=False,
            found=_divided(
                p99_rounds(result, NATIVE.name, peer.name), p99_rounds(result, peer.name, peer.name)
            ),
            fault=fault(
                row
                for row in result["measurements"]
                if row["of"] == peer.name and row["server"] == NATIVE.name
            ),
        )
        for peer, bound in (
            (GRPCIO, 1 / 3),
            (MLSERVER, 1 / 3),
            (MLSERVER_IN_PROCESS, 1 / 3),
            (PYGRPC, 1.0),
            (PYGRPC_SINGLE, 1.0),
        )
    ]


def _request(result: dict[str, Any]) -> list[Claim]:
    found = floor_rounds(result, NATIVE.name, infer(1).name)
    text = "one-row request / (its ONNX Runtime run + an empty call)"
    return [Claim(text, 1.6, at_least=False, found=found)]


def _shadow(result: dict[str, Any]) -> list[Claim]:
    if SHADOWED not in result["labels"]:
        return []
    rate, p99 = kept_rounds(result, SHADOWED)
    base = result["bases"][SHADOWED]
    rows = [row for row in result["measurements"] if row["condition"] in (base, SHADOWED)]
    shed = shares(rows, "open_rows", "shed", "served")
    return [
        Claim("requests/s with one candidate shadowed / without", 0.85, at_least=True, found=rate),
        Claim(
            "p99 at half load with one candidate shadowed / without",
            1.1,
            at_least=False,
            found=p99,
            fault=fault(rows),
        ),
        Claim(
            "processor time of a request, event loop: with one candidate shadowed / without",
            1.1,
            at_least=False,
            found=request_cpu_rounds(result, SHADOWED, base),
        ),
        Claim("rows that the candidate shed at half load", 0.0, at_least=False, found=shed),
    ]


def _transform(result: dict[str, Any]) -> list[Claim]:
    return [
        Claim(
            f"CPU time of one row, 20 columns ({label}): transform / {words}",
            3.0,
            at_least=False,
            found=ratio_rounds(result, name, 1, yardstick),
        )
        for name, label in result["labels"].items()
        for yardstick, words in ((EMPTY, "empty graph"), (SIZES, "sizes graph"))
    ]


def _soak(result: dict[str, Any]) -> list[list[str]]:
    failed, memory = failures(result), growth(result)
    requests, swaps = f"{result['requests']:,}", f"{result['swaps']:,}"
    return [
        [
            f"errors in {requests} requests while {swaps} deployments were swapped",
            "0",
            f"{failed:,}",
            "yes" if not failed and complete(result) else "**no**",
        ],
        [
            "growth of the memory of the process that answers meanwhile, MB",
            "flat",
            f"{memory.fitted:+.2f} of {number(memory.level)}",
            "yes" if memory.flat else "**no**",
        ],
    ]


def _divided(ours: list[float], theirs: list[float]) -> list[float]:
    if not ours or len(ours) != len(theirs):
        return []
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]
