"""All pages from all results that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.pages.claims import render_claims
from benchmarks.pages.latency import render_latency
from benchmarks.pages.log import render_log, render_slice
from benchmarks.pages.request import render_request
from benchmarks.pages.shadow import render_shadow
from benchmarks.pages.soak import render_soak
from benchmarks.pages.throughput import render_footprint, render_throughput
from benchmarks.pages.transform import render_transform

if TYPE_CHECKING:
    from benchmarks.results import Plan

_PAGES = {
    "throughput": ("throughput", render_throughput),
    "footprint": ("throughput", render_footprint),
    "latency": ("latency", render_latency),
    "request": ("request", render_request),
    "shadow": ("shadow", render_shadow),
    "log": ("log", render_log),
    "log_slice": ("log_slice", render_slice),
    "soak": ("soak", render_soak),
    "transform": ("transform", render_transform),
}
"""Page name: the result it is made of, and how."""


def pages(plan: Plan) -> dict[str, str]:
    """The text of each page by its file's name; a page whose result is absent is left out."""
    results = {name: plan.load(name) for name in {source for source, _ in _PAGES.values()}}
    rendered = {"README.md": render_claims(results)}
    for name, (source, render) in _PAGES.items():
        result = results[source]
        if result is not None:
            rendered[f"{name}.md"] = render(result)
    return rendered


def write(plan: Plan) -> None:
    """Write the pages."""
    plan.pages.mkdir(parents=True, exist_ok=True)
    for name, text in pages(plan).items():
        (plan.pages / name).write_text(text)
        print(plan.pages / name)
