import numpy as np
import pyarrow as pa
import pytest
import small_task
from pyarrow import csv, parquet

from trainer.errors import ExportError
from trainer.golden import compare, read_golden

SIGNATURE = small_task.SIGNATURE
COLUMNS = {
    "x": [0.1, None, -2.0],
    "amount": [20.0, 30.0, 40.0],
    "hour": [1, 2, 3],
    "channel": ["web", None, "shop"],
    "score": [0.25, 0.5, 0.75],
}


def write(path, **change):
    table = pa.table({name: values for name, values in {**COLUMNS, **change}.items() if values is not None})
    (parquet.write_table if path.suffix == ".parquet" else csv.write_csv)(table, path)
    return path


@pytest.mark.parametrize("name", ["golden.csv", "golden.parquet"])
def test_both_formats_give_the_rows_with_what_is_missing(tmp_path, name):
    golden = read_golden(write(tmp_path / name), SIGNATURE)
    assert golden.score.tolist() == COLUMNS["score"]
    assert np.isnan(golden.blocks.numbers[1, 0])
    assert golden.blocks.numbers[0, 0] == np.float32(0.1)
    assert golden.blocks.integers[:, 0].tolist() == [1, 2, 3]
    assert golden.blocks.texts[:, 0].tolist() == ["web", "", "shop"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"score": None}, "have no column 'score', the original's score of each row"),
        ({"score": [0.5, 0.5, 1.5]}, "the score of row 2 is 1.5; give the probability of the positive label"),
        ({"score": [0.5, None, 0.5]}, "the score of row 1 is nan"),
        ({"hour": None}, "field 'hour' is left out; send an integer"),
        ({"hour": [1, 2, 24]}, r"field 'hour' is 24; send a value from 0 to 23 \(row 2\)"),
        ({"hous": [1, 2, 3]}, "field 'hous' is not in the signature; did you mean 'hour'"),
        ({"amount": ["a", "b", "c"]}, "golden.csv cannot be read: In CSV column #1"),
        ({name: [] for name in COLUMNS}, "golden rows golden.csv has no row"),
    ],
    ids=str,
)
def test_rows_that_do_not_fit_are_named(tmp_path, change, says):
    with pytest.raises(ExportError, match=says):
        read_golden(write(tmp_path / "golden.csv", **change), SIGNATURE)


def test_other_files_are_none(tmp_path):
    with pytest.raises(ExportError, match=r"give a \.csv or a \.parquet file"):
        read_golden(tmp_path / "golden.npz", SIGNATURE)
    with pytest.raises(ExportError, match=r"golden\.csv cannot be read"):
        read_golden(tmp_path / "golden.csv", SIGNATURE)


def test_the_worst_row_decides_and_is_shown(tmp_path):
    golden = read_golden(write(tmp_path / "golden.csv"), SIGNATURE)
    near = np.array([0.25, 0.5 + 4e-7, 0.75], np.float32)
    alike = compare(golden, near, SIGNATURE, 1e-6)
    assert alike.rows == 3
    assert alike.difference == pytest.approx(4e-7, rel=0.1)
    said = "1 of 3 .* the worst is row 1, .* 4.2e-07 apart, 1e-07 is allowed: x=missing, amount=30.0, hour=2"
    with pytest.raises(ExportError, match=said):
        compare(golden, near, SIGNATURE, 1e-7)
