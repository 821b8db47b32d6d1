"""The sidecar's own monitor over the synthetic rows, with its default settings."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.drift import rows as data
from sidecar.config import Drift
from sidecar.drift.naming import name_findings
from sidecar.drift.scale import DAY_NS, HOUR_NS, WEEK_NS
from sidecar.drift.watch import Watch
from sidecar.profile.profile import Profile, count_rows
from sidecar.signature import Blocks, Field, Kind, Signature
from trainer.reference import make_reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sidecar.profile.reference import Reference

START_NS = 2_900 * WEEK_NS
TRIALS = 200
SIGNATURE = Signature(
    (
        *(Field(name, missing_allowed=True) for name in data.NUMBERS),
        *(Field(name, Kind.TEXT, missing_allowed=True) for name in data.TEXTS),
    )
)


def blocks_of(rows: data.Rows) -> Blocks:
    """The rows as a signature packs them."""
    return Blocks(rows.numbers, np.empty((len(rows), 0), np.int64), rows.texts)


def score_of(blocks: Blocks) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A score that depends on five of the fields, and a decision on the score."""
    logit = np.nan_to_num(blocks.numbers[:, [3, 4, 5, 16, 17]]) @ np.array(
        [1, -1, 0.5, 0.3, -0.3], np.float32
    )
    score = 1 / (1 + np.exp(-logit))
    return score.astype(np.float32), score > 0.7  # noqa: PLR2004 - any threshold


def make(rows: data.Rows, event_ns: NDArray[np.int64]) -> Reference:
    """The reference of training rows, the newest fifth of them held out."""
    blocks = blocks_of(rows)
    score, decision = score_of(blocks)
    held_out = slice(-len(blocks) // 5, None)
    return make_reference(SIGNATURE, blocks, event_ns, score[held_out], decision[held_out])


def still_reference() -> Reference:
    """Of rows spread evenly over four weeks, in which nothing moves."""
    event_ns = START_NS - 28 * DAY_NS + np.arange(data.REFERENCE_ROWS) * (28 * DAY_NS // data.REFERENCE_ROWS)
    return make(data.reference(), event_ns)


def count(reference: Reference, rows: data.Rows) -> Profile:
    """The profile of a window."""
    blocks = blocks_of(rows)
    return count_rows(reference.layout, blocks, *score_of(blocks))


def null_windows(reference: Reference, size: int, windows: int) -> dict[str, Any]:
    """Consecutive hours of the same number of rows: how many had any finding open, and how many opened."""
    watch, open_in, opened, before, took = Watch(reference, Drift()), 0, [], set(), []
    for number in range(windows):
        profile = count(reference, data.null_window(size, number))
        began = time.thread_time()
        watch.take(START_NS + number * HOUR_NS, profile)
        found = name_findings(watch, "", {})
        took.append(time.thread_time() - began)
        now = {(one.subject, one.what): one for one in found}
        opened += [[number, *key, one.evidence["z"]] for key, one in now.items() if key not in before]
        open_in += bool(now)
        before = set(now)
    return {"rows": size, "windows": windows, "open_in": open_in, "opened": opened, "look_ms": _middle(took)}


def detection(reference: Reference, change: data.Change, trials: int) -> dict[str, Any]:
    """In how many trials of two windows the change is found on its own feature, and what is named besides."""
    found, elsewhere = 0, 0
    kinds: dict[str, int] = {}
    for trial in range(trials):
        watch = Watch(reference, Drift())
        for window in range(2):
            profile = count(reference, change.window(2 * trial + window))
            watch.take(START_NS + window * HOUR_NS, profile)
        named = name_findings(watch, "", {})
        mine = [one.what for one in named if one.subject == change.feature]
        found += bool(mine)
        elsewhere += any(one.subject in SIGNATURE.by_name and one.subject != change.feature for one in named)
        for what in mine:
            kinds[what] = kinds.get(what, 0) + 1
    return {
        "change": change.name,
        "rows": change.rows,
        "trials": trials,
        "found": found,
        "kinds": kinds,
        "elsewhere": elsewhere,
    }


def cycle(days: int) -> dict[str, Any]:
    """Null days with a daily and a weekly cycle; each finding that opens is an alarm."""
    hours = range(-24 * data.CYCLE_TRAINING_DAYS, 0)
    parts = [data.cyclic_hour(hour) for hour in hours]
    training = data.Rows(
        np.concatenate([part.numbers for part in parts]), np.concatenate([part.texts for part in parts])
    )
    event_ns = np.repeat([START_NS + hour * HOUR_NS for hour in hours], [len(part) for part in parts])
    reference = make(training, event_ns)
    watch, alarms, before, rows = Watch(reference, Drift()), [], set(), 0
    for hour in range(24 * days):
        profile = count(reference, data.cyclic_hour(hour))
        rows += profile.rows
        watch.take(START_NS + hour * HOUR_NS, profile)
        now = {(one.subject, one.what): one for one in name_findings(watch, "", {})}
        alarms += [
            [hour, *key, one.evidence["z"], one.evidence["scale"], one.evidence["compared_with"]]
            for key, one in now.items()
            if key not in before
        ]
        before = set(now)
    shift = reference.spread["hour", "training"].excess[:7, 0]
    return {"days": days, "rows": rows, "alarms": alarms, "excess": [float(f"{each:.3g}") for each in shift]}


def low_traffic(reference: Reference, rows_a_day: int, four_weeks: int) -> dict[str, Any]:
    """Days of few rows, four weeks together: how many had any finding open, and how many opened."""
    watch, open_in, opened = Watch(reference, Drift()), 0, []
    before: set[tuple[str, str]] = set()
    for number in range(four_weeks):
        _take_four_weeks(watch, number, data.null_window(28 * rows_a_day, number))
        found = name_findings(watch, "", {})
        now = {(one.subject, one.what) for one in found}
        opened += [[number, *key] for key in sorted(now - before)]
        open_in += bool(now)
        before = now
    return {"rows_a_day": rows_a_day, "four_weeks": four_weeks, "open_in": open_in, "opened": opened}


def low_traffic_detection(reference: Reference, change: data.Change, trials: int) -> dict[str, Any]:
    """In how many trials of two times four weeks the change is found on its own feature."""
    found = 0
    for trial in range(trials):
        watch = Watch(reference, Drift())
        for number in range(2):
            _take_four_weeks(watch, number, change.window(2 * trial + number))
        found += any(one.subject == change.feature for one in name_findings(watch, "", {}))
    return {"change": change.name, "rows": change.rows, "trials": trials, "found": found}


def _take_four_weeks(watch: Watch, number: int, rows: data.Rows) -> None:
    """Give rows to a watch, evenly over the days of four weeks, and have it look at what that is."""
    begin_ns = START_NS + 28 * number * DAY_NS
    bounds = np.linspace(0, len(rows), 28 + 1).astype(int).tolist()
    for day, (begin, end) in enumerate(pairwise(bounds)):
        part = data.Rows(rows.numbers[begin:end], rows.texts[begin:end])
        watch.take(begin_ns + day * DAY_NS, count(watch.reference, part))
    watch.take(begin_ns + 28 * DAY_NS, Profile.empty(watch.reference.layout))


def _middle(seconds: Sequence[float]) -> float:
    return float(f"{1000 * float(np.median(seconds)):.3g}")
