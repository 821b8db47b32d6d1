"""Finding rows by request id: exact whatever the hashes do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain import to_ids
from sidecar.store import request_index
from sidecar.store.request_index import NO_ROW, RequestIndex

IDS = st.lists(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30), min_size=1
)


def slowly(ids, wanted):
    first = {}
    for row, request_id in enumerate(ids):
        first.setdefault(request_id, row)
    return [first.get(request_id, NO_ROW) for request_id in wanted]


@settings(deadline=None)
@given(IDS, IDS)
def test_rows_are_those_that_a_dictionary_finds(ids, others):
    index = RequestIndex(to_ids(ids))
    wanted = [*others, *ids[::2]]
    assert index.rows_of(to_ids(wanted)).tolist() == slowly(ids, wanted)
    assert index.different == len(set(ids))
    assert index.first_rows.tolist() == sorted(set(slowly(ids, ids)))
    numbers = index.numbers().tolist()
    backwards = np.arange(len(ids))[::-1]
    assert index.taken(backwards).rows_of(to_ids(wanted)).tolist() == slowly(ids[::-1], wanted)
    assert len(set(zip(numbers, ids, strict=True))) == len(set(numbers)) == len(set(ids))


def test_an_index_of_nothing_finds_nothing():
    index = RequestIndex(np.empty(0, np.bytes_))
    assert index.different == len(index.first_rows) == 0
    assert index.rows_of(to_ids(["a"])).tolist() == [NO_ROW]


def test_a_hash_that_two_ids_share_is_no_row_in_common(monkeypatch):
    """With the first keys tried it is so: it goes on to one that tells ids apart, and compares."""
    real, tried = request_index._hash, []

    def weak(ids, key):
        if key not in tried:
            tried.append(key)
        hashes = real(ids, key)
        return hashes % 2 if tried.index(key) < 3 else hashes

    monkeypatch.setattr(request_index, "_hash", weak)
    ids = [f"r{number}" for number in range(100)]
    index = RequestIndex(to_ids(ids))
    assert index.different == 100
    assert len(tried) == 4
    assert index.rows_of(to_ids(ids[::-1])).tolist() == list(range(99, -1, -1))

    monkeypatch.setattr(request_index, "_hash", lambda ids, _: np.zeros(len(ids), np.uint64))
    one = RequestIndex(to_ids(["same", "same"]))
    assert one.rows_of(to_ids(["other", "same"])).tolist() == [NO_ROW, 0]


@pytest.mark.parametrize("length", [7, 8, 9, 16, 17])
def test_an_id_is_found_however_wide_the_arrays_are(length):
    wide = to_ids(["x" * length, "y" * 40])
    assert RequestIndex(wide).rows_of(to_ids(["x" * length])).tolist() == [0]
    assert RequestIndex(to_ids(["x" * length])).rows_of(wide).tolist() == [0, NO_ROW]
