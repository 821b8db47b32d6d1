"""The training profile: what it counts, and that it comes back from its file as it was."""

import numpy as np
from export_rows import BLOCKS, ROWS, SIGNATURE
from small_task import DAY_NS, START_NS

from sidecar.profile.reference import Reference, read_reference
from sidecar.signature import Blocks
from trainer.reference import make_reference

SCORES = np.linspace(0, 1, 1000).astype(np.float32)
EVENT_NS = START_NS + np.arange(ROWS) * (20 * DAY_NS // ROWS)


def reference(blocks=BLOCKS, event_ns=EVENT_NS, score=SCORES):
    return make_reference(SIGNATURE, blocks, event_ns[: len(blocks)], score, score > 0.25)


def slots(found: Reference, name):
    place = found.layout.index(name)
    start = int(found.layout.starts[place])
    return found.profile.counts[start : start + found.layout.subjects[place].slots].tolist()


def numbers_of(column, other=1.0):
    numbers = np.full((len(column), 3), other, np.float32)
    numbers[:, 0] = column
    rows = len(column)
    return Blocks(numbers, np.zeros((rows, 2), np.int64), np.full((rows, 2), "", object))


def test_every_row_is_in_one_slot_of_each_field():
    found = reference()
    assert found.profile.rows == ROWS
    for field in (*SIGNATURE.numbers, *SIGNATURE.integers):
        below, *bins, above, _ = slots(found, field.name)
        assert (below + above > 0) == (field.name == "pressure")  # out of its declared bounds
        assert len(bins) == 20
        assert max(bins) < 1.2 * min(bins)
        assert sum(slots(found, field.name)) == ROWS


def test_score_and_decision_are_those_of_rows_that_were_held_out():
    found = reference()
    assert sum(slots(found, "score")) == 1000
    assert slots(found, "score")[-1] == 0
    assert slots(found, "decision") == [250, 750]


def test_a_bin_holds_its_upper_bound():
    found = reference(numbers_of(np.repeat([1, 2, np.nan, 3], 25), other=5000), score=np.zeros(1, np.float32))
    assert found.layout.numbers[0].bounds.tolist() == [np.nextafter(np.float32(1), np.float32(0)), 1, 2, 3]
    assert slots(found, "a") == [0, 25, 25, 25, 0, 25]
    # Out of its declared bounds, which the model takes for missing: no bin of its own, and not forgotten.
    assert slots(found, "pressure") == [0, 0, 100, 0]


def test_frequent_categories_are_counted_and_of_those_seen_once_new_ones_are_expected():
    texts = np.array([["A"] * 3 + ["B"] * 2 + [""] + [f"rare{n}" for n in range(120)]] * 2, object).T
    rows = len(texts)
    blocks = Blocks(np.ones((rows, 3), np.float32), np.zeros((rows, 2), np.int64), texts)
    found = reference(blocks, score=np.zeros(1, np.float32))
    text = found.layout.texts[0]
    assert text.categories == ("A", "B")
    assert len(text.rare) == 120
    assert slots(found, text.name) == [3, 2, 0, 120, 1]


def test_the_file_gives_back_what_was_written(tmp_path):
    found = reference()
    (tmp_path / "reference.npz").write_bytes(found.to_bytes())
    read = read_reference(tmp_path, SIGNATURE)
    assert read.to_bytes() == found.to_bytes() == reference().to_bytes()
    assert read.layout.texts[0].categories == found.layout.texts[0].categories
    # Its hours have too few rows to say how much they vary.
    assert set(read.spread) == {("day", "training"), ("day", "week")}


def test_days_that_differ_are_spread_and_days_that_do_not_are_none():
    days = np.repeat(np.arange(20), 200)
    event_ns = START_NS + days * DAY_NS + np.tile(np.arange(200), 20)
    rng = np.random.default_rng(3)
    alike = rng.normal(size=len(days))
    moving = alike + np.sin(days)
    score = np.zeros(1, np.float32)
    found = [reference(numbers_of(column), event_ns, score) for column in (alike, moving)]
    shift = [each.spread["day", "training"].excess[0, 0] for each in found]
    assert shift[0] == 0
    # Between days the mean varies by 0.5, rows of a day by 1, and all rows together by 1.5.
    assert 0.5 / 1.5 * 0.7 < shift[1] < 0.5 / 1.5 * 1.3
    assert found[1].spread["day", "training"].worst[0, 0] > 1
