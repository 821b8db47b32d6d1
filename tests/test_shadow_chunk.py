import numpy as np
import pytest
from shadowed import served
from tiny_bundles import tiny_bundle

from sidecar.domain import to_texts
from sidecar.shadow.chunk import Chunk


@pytest.mark.parametrize(("rows", "whole"), [(0, 0), (1, 0), (3, 3), (4, 3), (5, 3), (6, 6), (7, 7), (9, 7)])
def test_chunks_are_cut_between_calls(tmp_path, rows, whole):
    champion = tiny_bundle(tmp_path).ref
    chunk = Chunk(served(champion, 9, group=[8, 8, 1, 1, 1, 2, 2, 2, 3]), 2, 9, None)
    assert chunk.first_call() == 3
    assert chunk.whole_calls(rows) == whole
    first, rest = chunk.cut(3)
    assert (to_texts(first.request_ids), to_texts(rest.request_ids)) == (
        ["r2", "r3", "r4"],
        ["r5", "r6", "r7", "r8"],
    )
    assert np.array_equal(first.blocks.numbers, chunk.batch.blocks.numbers[2:5])
