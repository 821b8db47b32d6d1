"""How much each field matters: nothing is said of one that never varies, and 0 of one that is ignored."""

import numpy as np
from tiny_bundles import SIGNATURE, tiny_bundle

from sidecar.bundle import PIPELINE
from trainer.importance import importance_of

ROWS = 3_000


def test_a_field_that_never_varies_is_left_out_and_one_that_is_ignored_is_zero(tmp_path):
    rng = np.random.default_rng(0)
    columns = {
        "x": rng.normal(size=ROWS),
        "amount": np.full(ROWS, 10.0),
        "trigger": rng.integers(0, 5, ROWS),
        "colour": np.full(ROWS, "", object),
    }
    columns["amount"][: ROWS // 10] = 20.0  # too old to be shuffled
    pipeline = (tiny_bundle(tmp_path).path / PIPELINE).read_bytes()
    assert importance_of(pipeline, SIGNATURE, SIGNATURE.pack_columns(columns)) == {"x": 1.0, "trigger": 0.0}
    columns["x"][:] = np.nan
    columns["colour"][::2] = "red"
    found = importance_of(pipeline, SIGNATURE, SIGNATURE.pack_columns(columns))
    assert found == {"trigger": 0.0, "colour": 1.0}
