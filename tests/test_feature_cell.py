"""Features as cells: small where a raw field tells them, and bit for bit whatever the engine computed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.cells import Room, index
from sidecar.feature_cell import pack_features, unpack_features
from sidecar.feature_origin import Line, Lookup, RawFields

ROWS = 4096
RNG = np.random.default_rng(0)
MISSING = np.uint32(0x7FC00000).view(np.float32)


def raw():
    """Two numbers, one with missing values, a count, and two texts."""
    numbers = RNG.normal(40, 12, (ROWS, 2)).astype(np.float32)
    numbers[RNG.random(ROWS) < 0.1, 1] = MISSING
    integers = RNG.integers(0, 5_000, (ROWS, 1))
    texts = [RNG.choice(["a", "b", "c"], ROWS).tolist(), [f"w{RNG.zipf(1.5) % 90}" for _ in range(ROWS)]]
    return numbers, integers, [index(column) for column in texts]


def there_and_back(features, numbers, integers, words, origins=None):
    room = Room()
    fields = RawFields(room.by_column("numbers", numbers), room.by_column("integers", integers), words)
    cell = pack_features(room.by_column("features", features), fields, {} if origins is None else origins)
    back = unpack_features(cell, len(features), numbers, list(integers.T), [rows for _, rows in words])
    assert back.dtype == np.float32
    assert back.tobytes() == features.tobytes()
    return len(cell)


NUMBERS, INTEGERS, WORDS = raw()
FILLED = np.where(np.isnan(NUMBERS[:, 1]), np.float32(7.5), NUMBERS[:, 1])
SCALED = (FILLED - np.float32(39.7)) * np.float32(0.0834)
OF_WORD = RNG.normal(size=90).astype(np.float32)[WORDS[1][1] % 90]
DERIVED = {
    "the field": NUMBERS[:, 0],
    "with its missing values": NUMBERS[:, 1],
    "filled": FILLED,
    "filled, then standardised": SCALED,
    "standardised": (NUMBERS[:, 0] - np.float32(40.1)) * np.float32(1 / 12),
    "a cast count": INTEGERS[:, 0].astype(np.float32),
    "a scaled count": (INTEGERS[:, 0].astype(np.float32) - np.float32(2500)) * np.float32(0.001),
    "by word": OF_WORD,
    "one word or not": (WORDS[0][1] == 1).astype(np.float32),
    "a rare word or not": (WORDS[1][1] == WORDS[1][1].max()).astype(np.float32),
}


@pytest.mark.parametrize("name", DERIVED)
def test_what_a_raw_field_tells_takes_next_to_nothing(name):
    assert there_and_back(DERIVED[name].reshape(-1, 1), NUMBERS, INTEGERS, WORDS) < 400


def test_all_of_them_beside_one_that_no_field_tells():
    own = RNG.normal(size=ROWS).astype(np.float32)
    features = np.stack([*DERIVED.values(), own], axis=1)
    assert there_and_back(features, NUMBERS, INTEGERS, WORDS) < 4 * ROWS + 2_000


@pytest.mark.parametrize("name", DERIVED)
def test_a_row_that_the_engine_got_wrong_stays_wrong(name):
    wrong = DERIVED[name].copy()
    wrong[1234] = np.nextafter(wrong[1234], np.float32(1e9))
    wrong[77] = -np.inf
    there_and_back(wrong.reshape(-1, 1), NUMBERS, INTEGERS, WORDS)


def test_what_is_almost_a_line_takes_a_byte_a_row():
    """Another order of operations: min-max scaling as a product and a sum."""
    almost = NUMBERS[:, 0] * np.float32(0.0123) + np.float32(0.45)
    assert there_and_back(almost.reshape(-1, 1), NUMBERS, INTEGERS, WORDS) < 1.1 * ROWS


def test_what_one_batch_showed_is_tried_first_on_the_next():
    features = np.stack([*DERIVED.values()], axis=1)
    origins = {}
    length = there_and_back(features, NUMBERS, INTEGERS, WORDS, origins)
    assert [type(origins[place]) for place in range(len(DERIVED))] == [*[Line] * 7, *[Lookup] * 3]
    found = dict(origins)
    origins.update(dict.fromkeys(origins, Line(0, 1.5, -2.0)))  # all of them wrong
    assert there_and_back(features, NUMBERS, INTEGERS, WORDS, origins) == length
    assert origins == found


def test_what_one_batch_showed_need_not_hold_for_the_next():
    origins = {}
    there_and_back(SCALED.reshape(-1, 1), NUMBERS, INTEGERS, WORDS, origins)
    assert there_and_back(OF_WORD.reshape(-1, 1), NUMBERS, INTEGERS, WORDS, origins) < 400
    own = RNG.normal(size=(ROWS, 1)).astype(np.float32)
    assert there_and_back(own, NUMBERS, INTEGERS, WORDS, origins) < 4 * ROWS + 10


def test_odd_values_in_field_and_feature():
    numbers = NUMBERS.copy()
    numbers[:6, 0] = np.array(
        [0x7FC00001, 0xFFC00000, 0x80000000, 0, 0x7F800000, 0xFF800000], np.uint32
    ).view(np.float32)
    for feature in (numbers[:, 0], numbers[:, 0] * np.float32(0.5), numbers[:, 0] - np.float32(3)):
        there_and_back(feature.reshape(-1, 1), numbers, INTEGERS, WORDS)


def test_a_room_is_good_for_larger_and_smaller_batches_after_each_other():
    room = Room()
    for rows in (700, 3, 4096, 1, 700):
        for name, matrix in (("numbers", NUMBERS), ("integers", INTEGERS), ("none", NUMBERS[:, :0])):
            part = matrix[:rows]
            columns = room.by_column(name, part)
            assert columns.flags.c_contiguous
            assert (columns.dtype, columns.shape) == (part.dtype, part.shape[::-1])
            assert columns.tobytes() == part.T.tobytes()


@pytest.mark.parametrize("rows", [1, 2, 31, 32, 33])
def test_few_rows(rows):
    words = [index([WORDS[0][0][code] for code in WORDS[0][1][:rows].tolist()])]
    features = np.stack([*DERIVED.values()], axis=1)[:rows]
    there_and_back(features, NUMBERS[:rows], INTEGERS[:rows], words)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 80).flatmap(
        lambda rows: st.tuples(
            st.lists(
                st.lists(st.floats(width=32, allow_nan=False), min_size=rows, max_size=rows), max_size=3
            ),
            st.lists(st.floats(width=32, allow_nan=False), min_size=rows, max_size=rows),
            st.sampled_from([1.0, -0.5, 3e-20, 7e20]),
            st.lists(st.sampled_from(["", "x", "y"]), min_size=rows, max_size=rows),
        )
    )
)
def test_whatever_the_values_are(drawn):
    numbers, own, scale, texts = drawn
    matrix = np.array(numbers, np.float32).reshape(len(numbers), len(own)).T
    integers = np.arange(len(own)).reshape(-1, 1)
    with np.errstate(all="ignore"):
        lines = [(column - np.float32(1)) * np.float32(scale) for column in matrix.T]
    lines = [np.where(np.isnan(line), MISSING, line) for line in lines]
    features = np.stack([np.array(own, np.float32), *lines], axis=1)
    there_and_back(features, matrix, integers, [index(texts)])
