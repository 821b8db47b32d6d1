"""Counting is what numpy counts, adds up, and survives the store."""

from itertools import pairwise

import numpy as np
import pytest
from drift_traffic import SIGNATURE, blocks_of, reference, scored

from sidecar.errors import ConfigError
from sidecar.profile.profile import Profile, count_rows
from sidecar.profile.store import ProfileStore
from sidecar.signature import Blocks
from trainer.reference import make_reference

REFERENCE = reference(rows=5000)
LAYOUT = REFERENCE.layout


def rows(count, seed=0):
    return scored(blocks_of(count, np.random.default_rng(seed)))


def slots(found, name):
    place = LAYOUT.index(name)
    start = int(LAYOUT.starts[place])
    return found.counts[start : start + LAYOUT.subjects[place].slots]


def same(one, other):
    return all(
        np.array_equal(getattr(one, part), getattr(other, part), equal_nan=True)
        for part in ("rows", "counts", "whole", "least", "most")
    ) and np.allclose([one.sums, one.squares], [other.sums, other.squares])


def test_each_number_is_in_the_slot_that_its_bounds_say():
    blocks, score, decision = rows(3000)
    blocks.numbers[:4, 0] = [-1, 1e30, np.inf, -np.inf]
    found = count_rows(LAYOUT, blocks, score, decision)
    for column, name in enumerate(("seconds", "price")):
        values, bounds = blocks.numbers[:, column], LAYOUT.numbers[column].bounds
        inside = [np.count_nonzero((values > low) & (values <= high)) for low, high in pairwise(bounds)]
        ends = np.count_nonzero(values <= bounds[0]), np.count_nonzero(values > bounds[-1])
        assert slots(found, name).tolist() == [ends[0], *inside, ends[1], np.isnan(values).sum()]
    assert slots(found, "decision").tolist() == [(~decision).sum(), decision.sum()]


def test_moments_range_and_whole_numbers():
    blocks, score, decision = rows(1000)
    found = count_rows(LAYOUT, blocks, score, decision)
    seconds = blocks.numbers[:, 0].astype(np.float64)
    assert found.sums[0] == pytest.approx(np.nansum(seconds))
    assert found.squares[0] == pytest.approx(np.nansum(seconds**2))
    assert (found.least[0], found.most[0]) == (np.nanmin(seconds), np.nanmax(seconds))
    assert found.whole[1] == 1000  # prices are whole
    assert found.whole[0] < 10


def test_texts_are_known_rare_unseen_or_missing():
    blocks, score, decision = rows(5)
    blocks.texts[:, 0] = ["web", "fax", "", "web", "fax"]
    found = count_rows(LAYOUT, blocks, score, decision)
    web = LAYOUT.texts[0].categories.index("web")
    counted = slots(found, "channel").tolist()
    assert counted[web] == 2
    assert counted[-3:] == [0, 2, 1]


def test_counting_leaves_the_rows_as_they_are():
    blocks, score, decision = rows(500)
    before = blocks.numbers.copy(), blocks.integers.copy(), score.copy()
    for frozen in (blocks.numbers, blocks.integers, score):
        frozen.flags.writeable = False
    count_rows(LAYOUT, blocks, score, decision)
    for was, now in zip(before, (blocks.numbers, blocks.integers, score), strict=True):
        assert np.array_equal(was, now, equal_nan=True)


@pytest.mark.parametrize("cut", [0, 1, 700, 1000])
def test_profiles_of_parts_add_up_to_the_profile_of_all(cut):
    blocks, score, decision = rows(1000)
    parts = [
        count_rows(LAYOUT, blocks.take(part), score[part], decision[part])
        for part in (slice(cut), slice(cut, None))
    ]
    assert same(parts[0] + parts[1], count_rows(LAYOUT, blocks, score, decision))
    assert same(Profile.empty(LAYOUT) + parts[0], parts[0])


def test_a_field_without_training_values_has_somewhere_to_count_them():
    numbers = np.full((100, 2), np.nan, np.float32)
    blocks = Blocks(numbers, np.zeros((100, 1), np.int64), np.full((100, 1), "", object))
    score = np.zeros(100, np.float32)
    found = make_reference(SIGNATURE, blocks, np.arange(100), score, score > 1)
    live, live_score, decision = rows(50)
    assert count_rows(found.layout, live, live_score, decision).rows == 50


def test_what_two_sidecars_counted_adds_up(tmp_path):
    one, two, three = (count_rows(LAYOUT, *rows(300, seed)) for seed in range(3))
    with ProfileStore(tmp_path / "profiles.db") as mine, ProfileStore(tmp_path / "profiles.db") as theirs:
        mine.add("a", {("m", 0): one, ("m", 10): two}, {"m": LAYOUT})
        theirs.add("b", {("m", 0): two}, {"m": LAYOUT})
        mine.add("a", {("m", 0): three}, {"m": LAYOUT})
        windows = theirs.windows("m", LAYOUT, since_ns=0, until_ns=11)
        assert [start for start, _ in windows] == [0, 10]
        assert same(windows[0][1], one + two + three)
        assert same(windows[1][1], two)
        assert theirs.windows("m", LAYOUT, since_ns=1, until_ns=10) == []
        assert (mine.newest_ns("m"), mine.newest_ns("other")) == (10, None)


def test_a_file_of_another_format_is_refused(tmp_path):
    with ProfileStore(tmp_path / "profiles.db") as store:
        store._connection.execute("PRAGMA user_version = 9")
    with pytest.raises(ConfigError, match="format 9"):
        ProfileStore(tmp_path / "profiles.db")
