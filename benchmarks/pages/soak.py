"""The page of "soak": errors and memory over ten million requests."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.pages.markdown import number, page, provenance, table
from benchmarks.statistics import Line

SETTLED = 0.2
"""The part of the run after which memory has to be flat."""
_MB = 2**20
_FLAT_SHARE = 0.02
_TWO_ERRORS = 2.0
_COMPLETE = 0.9
_WHAT_GROWS = """\
## What grows

Looked at on 27 November 2026, with swaps as above. It is memory that was freed and that glibc keeps: after
24 million requests and 230 swaps, of 262 MB 60 were free, in sixteen arenas; given back by hand
(`malloc_trim`), 234 were left. Without requests 300 swaps add 2.6 kB each, and without swaps it is flat.
There are two kinds of it:

* Two arenas, most likely those of the event loop and of the recorder, hold what the longest backlog so far
  took, 16 and 24 MB. The ring (`[limits] ring_rows`) bounds it.
* Each swap ends two shadows' threads and starts two others, which glibc gives any arena that is free. So
  one arena after the other comes to hold the 2 MB that a shadow works in, until all have them.

What was tried: two arenas instead of sixteen (`MALLOC_ARENA_MAX=2`) are flat at 241 MB, but in two of seven
interleaved pairs p99 was three times as long, so the sidecar does not set it. Four arenas grow likewise.
Giving memory back whenever a shadow ends changed nothing: requests take it again."""


@dataclass(frozen=True, slots=True)
class Growth:
    """How resident memory went after the beginning, in MB over the rest of the run."""

    fitted: float
    error: float
    level: float

    @property
    def flat(self) -> bool:
        """Whether even two standard errors more would be under 2 % of the memory in use."""
        return self.fitted + _TWO_ERRORS * self.error < _FLAT_SHARE * self.level


def growth(result: dict[str, Any]) -> Growth:
    """Fit a line through the samples after the beginning."""
    samples = result["samples"]
    rest = samples[int(len(samples) * SETTLED) :]
    at = [sample["seconds"] for sample in rest]
    memory = [sample["rss_bytes"] / _MB for sample in rest]
    line = Line.through(at, memory)
    took = at[-1] - at[0]
    return Growth(line.slope * took, line.slope_error * took, median(memory))


def failures(result: dict[str, Any]) -> int:
    """Requests without grpc-status 0, deployments that failed, and rows that went missing."""
    failed = result["planned"] - result["ends"].get("0", 0)
    unaccounted = result["served"] - result["written"] - result["dropped"]
    return int(failed + len(result["swap_errors"]) + sum(result["errors"].values()) + unaccounted)


def complete(result: dict[str, Any]) -> bool:
    """Whether deployments were swapped and memory was sampled until the end."""
    least = _COMPLETE * result["seconds"]
    return bool(result["swaps"] >= least and len(result["samples"]) >= least)


def render_soak(result: dict[str, Any]) -> str:
    """What happened, and memory over time."""
    found = growth(result)
    samples = result["samples"]
    facts = [
        ["requests", f"{result['requests']:,}"],
        ["seconds", number(result["seconds"])],
        ["requests/s", number(result["requests"] / result["seconds"])],
        ["without grpc-status 0", f"{result['requests'] - result['ends'].get('0', 0):,}"],
        ["deployments swapped", f"{result['swaps']:,}"],
        ["swaps that failed", f"{len(result['swap_errors']):,}"],
        ["rows recorded", f"{result['written']:,}"],
        ["rows dropped because the recorder was behind (counted, by design)", f"{result['dropped']:,}"],
        ["p50 / p99 / p99.9 / max, us", " / ".join(_percentiles(result))],
        ["log.db at the end, MB; what is older is sealed", number(samples[-1]["log_bytes"] / _MB)],
        ["memory of the process that answers, median, MB", number(found.level)],
        [
            "growth of memory over the rest of the run, fitted, MB",
            f"{found.fitted:+.2f} ± {_TWO_ERRORS * found.error:.2f}",
        ],
        ["flat", "yes" if found.flat else "no"],
    ]
    return page(
        "Soak: ten million requests, a new champion every second",
        f"One run of the `{result['engine']}` engine. Every reply's grpc-status was looked at; each second a "
        "new version was registered and promoted through the registry and the admin API, so that each second "
        "workers of the new champion's copy and of the former champion were started and those before ended. "
        "The memory of the process that answers is flat when a line fitted through all samples after the "
        f"first {SETTLED:.0%}, plus two standard errors, grows by less than {_FLAT_SHARE:.0%} of it.",
        table(["", "found"], facts),
        "## Memory over time",
        _over_time(samples),
        _WHAT_GROWS,
        provenance(result, "python -m benchmarks run soak", result["command"]),
    )


def _over_time(samples: list[dict[str, float]]) -> str:
    shown = samples[:: max(1, len(samples) // 20)]
    lines = [
        [
            f"{each['seconds']:.0f}",
            number(each["rss_bytes"] / _MB),
            number((each["family_rss_bytes"] - each["rss_bytes"]) / _MB),
            number(each["log_bytes"] / _MB),
        ]
        for each in shown
    ]
    return table(["seconds", "memory, MB", "of workers and sealing, MB", "log.db, MB"], lines)


def _percentiles(result: dict[str, Any]) -> list[str]:
    return [number(result["latency_us"][at]) for at in ("p50", "p99", "p999", "max")]
