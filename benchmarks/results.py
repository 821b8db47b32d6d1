"""Result files: one JSON object for each measurement, from which pages are rendered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.environments import HERE, ROOT, WORK

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Plan:
    """How thoroughly to measure, and where results and pages go. Quick runs leave the real ones alone."""

    rounds: int
    scale: float
    """What part of their full time measurements take."""
    results: Path
    pages: Path

    @property
    def full(self) -> bool:
        """Whether nothing is cut short."""
        return self.scale == 1

    def seconds(self, full: float) -> float:
        """So many seconds in a full run; less in a quick one, but never under a second."""
        return max(1.0, full * self.scale)

    def save(self, name: str, content: dict[str, Any]) -> None:
        """Write one measurement's result."""
        self.results.mkdir(parents=True, exist_ok=True)
        (self.results / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")

    def load(self, name: str) -> dict[str, Any] | None:
        """Read one measurement's result, None when there is none."""
        file = self.results / f"{name}.json"
        content: dict[str, Any] | None = json.loads(file.read_text()) if file.exists() else None
        return content


FULL = Plan(5, 1.0, HERE / "results", ROOT / "docs" / "benchmarks")
QUICK = Plan(1, 0.4, WORK / "quick" / "results", WORK / "quick" / "pages")
PARTIAL = Plan(5, 1.0, WORK / "partial" / "results", WORK / "partial" / "pages")
"""Of some servers or rounds only."""
