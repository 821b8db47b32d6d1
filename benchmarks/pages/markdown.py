"""What all pages are written with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.statistics import Summary

GENERATED = "<!-- Rendered by `python -m benchmarks render` from benchmarks/results; not edited by hand. -->"
_FEW = 10
_MANY = 100


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the first column is text and stands left, the others stand right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def number(value: float) -> str:
    """Three digits or all before the point: 0.123, 1.23, 12.3, 123, 12,345."""
    size = abs(value)
    if size >= _MANY:
        return f"{value:,.0f}"
    if size >= _FEW:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 1 else f"{value:.3f}"


def spread(summary: Summary) -> str:
    """Median (least to most)."""
    return f"{number(summary.median)} ({number(summary.least)} to {number(summary.most)})"


def page(title: str, *parts: str) -> str:
    """A whole page."""
    return "\n\n".join([GENERATED, f"# {title}", *parts]) + "\n"


def provenance(result: dict[str, Any], *commands: str) -> str:
    """What the result was measured on, with what, and by which commands."""
    machine, versions = result["machine"], result["versions"]
    changed = ", with changes not committed" if result["changed"] else ""
    virtual = " (a virtual machine)" if machine["virtual"] else ""
    peers = {name: found for name, found in versions.items() if isinstance(found, dict)}
    lines = [
        f"* Measured {result['measured']} at commit {result['commit']}{changed}.",
        f"* {machine['cores']} cores of {machine['processor']}{virtual}, {machine['memory_gb']:g} GB.",
        f"* {machine['system']}, Linux {machine['kernel']}.",
        f"* Load average before: {machine['load_before']:.2f}.",
        f"* Python {versions['python']}; {versions['h2load']}; {versions['rustc']}.",
        *(
            f"* {name}: " + ", ".join(f"{package} {version}" for package, version in found.items())
            for name, found in peers.items()
        ),
    ]
    shown = "\n".join(commands)
    return "## Measured on and with\n\n" + "\n".join(lines) + f"\n\n```sh\n{shown}\n```"
