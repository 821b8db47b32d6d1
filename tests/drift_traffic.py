"""A small task's traffic by the hour, for tests of drift."""

import numpy as np

from sidecar.drift.scale import HOUR_NS, WEEK_NS
from sidecar.profile.profile import count_rows
from sidecar.signature import Blocks, Field, Kind, Signature
from trainer.reference import make_reference

SIGNATURE = Signature(
    (
        Field("seconds", missing_allowed=True, unit="s"),
        Field("price", missing_allowed=True),
        Field("items", Kind.INTEGER),
        Field("channel", Kind.TEXT, missing_allowed=True),
    )
)
START_NS = 2800 * WEEK_NS
CHANNELS = np.array(["web", "shop", "phone"], object)


def blocks_of(rows, rng):
    numbers = np.stack([rng.gamma(4.0, 10.0, rows), np.round(rng.normal(50, 10, rows))], axis=1)
    numbers = numbers.astype(np.float32)
    numbers[rng.random(rows) < 0.05, 0] = np.nan
    texts = CHANNELS[rng.choice(3, rows, p=[0.6, 0.3, 0.1])][:, np.newaxis]
    return Blocks(numbers, rng.integers(1, 10, (rows, 1)), texts)


def scored(blocks):
    score = (1 / (1 + np.exp((blocks.numbers[:, 1] - 50) / 10))).astype(np.float32)
    return blocks, score, score > 0.5


def reference(rows=40_000, days=28, seed=1):
    rng = np.random.default_rng(seed)
    event_ns = START_NS - days * 24 * HOUR_NS + np.sort(rng.integers(0, days * 24 * HOUR_NS, rows))
    blocks, score, decision = scored(blocks_of(rows, rng))
    return make_reference(SIGNATURE, blocks, event_ns, score, decision)


def profile(layout, rows, rng, change=None):
    """The profile of rows of an hour, after `change` has been made to their blocks."""
    blocks = blocks_of(rows, rng)
    changed = (change(blocks) if change else None) or blocks
    return count_rows(layout, *scored(changed))
