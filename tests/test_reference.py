import io

import numpy as np
from export_rows import BLOCKS, ROWS, SIGNATURE

from sidecar.signature import Blocks
from trainer.reference import profile


def read(data):
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return dict(file)


def test_every_row_is_in_one_bin_or_missing():
    score = np.linspace(0, 1, 1000).astype(np.float32)
    arrays = read(profile(SIGNATURE, BLOCKS, score))
    assert (arrays["rows"], arrays["score.rows"]) == (ROWS, 1000)
    for field in (*SIGNATURE.numbers, *SIGNATURE.integers):
        name = f"field.{field.name}"
        edges, counts = arrays[f"{name}.edges"], arrays[f"{name}.counts"]
        assert (np.diff(edges) > 0).all()
        assert len(counts) == len(edges) + 1 == 20
        assert counts.sum() + arrays[f"{name}.missing"] == ROWS
        assert counts.max() < 1.2 * counts.min()
    assert arrays["score.counts"].sum() == 1000


def test_a_bin_holds_its_upper_edge():
    numbers = np.zeros((100, 3), np.float32)
    numbers[:, 0] = np.repeat([1, 2, np.nan, 3], 25)
    numbers[:, 1] = 5000  # out of bounds
    blocks = Blocks(numbers, np.zeros((100, 2), np.int64), np.full((100, 2), "", object))
    arrays = read(profile(SIGNATURE, blocks, np.zeros(1, np.float32)))
    assert arrays["field.a.edges"].tolist() == [1, 2, 3]
    assert arrays["field.a.counts"].tolist() == [25, 25, 25, 0]
    assert arrays["field.a.missing"] == 25
    assert arrays["field.pressure.missing"] == 100
    assert arrays["field.pressure.counts"].tolist() == [0]


def test_frequent_categories_are_counted_and_rare_ones_are_other():
    texts = np.array([["A"] * 3 + ["B"] * 2 + [""] + [f"rare{n}" for n in range(120)]] * 2, object).T
    rows = len(texts)
    blocks = Blocks(np.zeros((rows, 3), np.float32), np.zeros((rows, 2), np.int64), texts)
    arrays = read(profile(SIGNATURE, blocks, np.zeros(1, np.float32)))
    counted = dict(zip(arrays["field.origin.categories"], arrays["field.origin.counts"], strict=True))
    assert (counted["A"], counted["B"]) == (3, 2)
    assert len(counted) == 100
    assert (arrays["field.origin.missing"], arrays["field.origin.other"]) == (1, 22)


def test_the_same_rows_give_the_same_bytes():
    score = np.zeros(3, np.float32)
    assert profile(SIGNATURE, BLOCKS, score) == profile(SIGNATURE, BLOCKS, score)
