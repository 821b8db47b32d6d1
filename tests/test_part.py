"""Columns of a part are unpacked when asked for, and rows of many parts come in the order asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import SignatureMismatchError
from sidecar.store.part import PackedColumns, chosen_columns, joined_columns

NONE = {"number": np.empty(0, np.int64), "block": np.empty((0, 2), np.float32), "text": np.empty(0, object)}


def part(numbers):
    """A part with these numbers, and what can be told from them."""
    columns = {
        "number": np.array(numbers, np.int64),
        "block": np.array([[each, -each] for each in numbers], np.float32).reshape(-1, 2),
        "text": np.array([f"n{each}" for each in numbers], object),
    }
    return PackedColumns(columns, len(numbers), columns.__getitem__)


@given(st.lists(st.integers(0, 5), max_size=6), st.data())
def test_rows_of_all_parts_come_in_the_order_asked_for(sizes, data):
    ends = np.cumsum([0, *sizes]).tolist()
    parts = [part(range(start, start + size)) for start, size in zip(ends, sizes, strict=False)]
    every = data.draw(st.permutations(range(ends[-1])))
    rows = np.array(every[: data.draw(st.integers(0, len(every)))], np.int64)
    for wanted in (rows, np.sort(rows), np.arange(ends[-1])):
        found = chosen_columns(parts, NONE, wanted)
        assert found["number"].tolist() == wanted.tolist()
        assert found["block"].tolist() == [[row, -row] for row in wanted]
        assert found["text"].tolist() == [f"n{row}" for row in wanted]
    assert joined_columns(parts, NONE)["number"].tolist() == list(range(ends[-1]))


def test_rows_within_a_time_are_those_of_every_column():
    some = part([3, 1, 2]).within({"number": (2, 3)})
    assert some.rows == 2
    assert some["text"].tolist() == ["n3", "n2"]
    assert some.only(np.array([False, True]))["block"].tolist() == [[2, -2]]
    assert part([3, 1]).within({"number": (4, 9)}) is None


def test_a_column_is_unpacked_only_when_it_is_asked_for():
    asked = []
    columns = PackedColumns(("a", "b"), 1, lambda name: asked.append(name) or np.zeros(1))
    assert list(columns) == ["a", "b"]
    assert asked == []
    assert columns["b"].tolist() == [0]
    assert asked == ["b"]
    with pytest.raises(KeyError):
        columns["c"]


def test_a_block_of_another_width_is_refused():
    with pytest.raises(SignatureMismatchError, match="2 columns of block, 3 are asked for"):
        chosen_columns([part([1])], {"block": np.empty((0, 3), np.float32)}, np.arange(1))
