"""Profiles of live traffic hold on to the models that answer, and to no former one."""

import numpy as np
import pytest
from shadowed import served
from tiny_bundles import SIGNATURE, row, tiny_bundle

from sidecar.bundle import REFERENCE
from sidecar.profile.live import LiveProfiles
from trainer.reference import make_reference


@pytest.fixture
def live(tmp_path):
    folders = {}
    records = [row(x=number / 200) for number in range(200)]
    blocks = SIGNATURE.pack_columns({name: [record[name] for record in records] for name in records[0]})
    score = np.linspace(0, 1, 200, dtype=np.float32)
    reference = make_reference(SIGNATURE, blocks, np.arange(200) * 600 * 10**9, score, score > 0.5).to_bytes()

    def make(version):
        bundle = tiny_bundle(tmp_path, version, reference=reference)
        folders[bundle.model.digest] = bundle.path
        return bundle

    return LiveProfiles(folders.__getitem__), make


def test_what_was_counted_is_taken_with_the_references_it_needs(live):
    profiles, make = live
    first, second = make("1").ref, make("2").ref
    profiles.count([served(first, 5), served(second, 3)])
    counted = profiles.take()
    assert {model: profile.rows for (model, _), profile in counted.windows.items()} == {
        first.model.digest: 5,
        second.model.digest: 3,
    }
    assert counted.references.keys() == {first.model.digest, second.model.digest}
    assert profiles.take() == ({}, {})


def test_a_former_model_is_let_go(live):
    profiles, make = live
    for version in range(10):
        ref = make(str(version)).ref
        profiles.count([served(ref, 2)])
        assert profiles.take().references.keys() == {ref.model.digest}
        assert profiles._references.keys() == {ref.model.digest}


def test_a_profile_that_cannot_be_read_is_told_of_once(live, caplog):
    profiles, make = live
    bundle = make("1")
    (bundle.path / REFERENCE).unlink()
    for _ in range(3):
        profiles.count([served(bundle.ref, 2)])
        assert profiles.take() == ({}, {})
    assert np.count_nonzero(["cannot be read" in record.message for record in caplog.records]) == 1
