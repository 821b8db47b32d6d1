"""Finding rows by request id: exact whatever the hashes do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain import to_ids
from sidecar.store import request_index
from sidecar.store.request_index import NO_ROW, RequestIndex, same_ids

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


@pytest.mark.parametrize("different_hashes", [1, 2, 5])
def test_a_hash_that_ids_share_is_no_row_in_common(monkeypatch, different_hashes):
    """Rows that no hash tells apart stand in tables of their own, and are compared."""
    real = request_index._hash
    monkeypatch.setattr(request_index, "_hash", lambda ids, key: real(ids, key) % np.uint64(different_hashes))
    ids = [f"r{number}" for number in range(100)]
    index = RequestIndex(to_ids([*ids, *ids[50:]]))
    assert index.different == 100
    assert index.rows_of(to_ids(ids[::-1])).tolist() == list(range(99, -1, -1))
    assert index.rows_of(to_ids(["other", "r0", "r99"])).tolist() == [NO_ROW, 0, 99]


@pytest.mark.parametrize("length", [7, 8, 9, 16, 17])
def test_an_id_is_found_however_wide_the_arrays_are(length):
    wide = to_ids(["x" * length, "y" * 40])
    assert RequestIndex(wide).rows_of(to_ids(["x" * length])).tolist() == [0]
    assert RequestIndex(to_ids(["x" * length])).rows_of(wide).tolist() == [0, NO_ROW]


def test_same_ids_are_those_in_the_same_order():
    ids = np.array([b"a", b"bc", b"d"])
    assert same_ids(ids, ids.copy())
    assert same_ids(ids[::-1], ids[::-1].copy())
    assert not same_ids(ids, ids[::-1])
    assert not same_ids(ids, ids[:2])
    assert not same_ids(ids[:0], ids)
