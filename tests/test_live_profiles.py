"""Profiles of live traffic hold on to the models that answer, and to no former one."""

import numpy as np
import pytest
from shadowed import served
from tiny_bundles import SIGNATURE, row, tiny_bundle

from sidecar.bundle import REFERENCE, open_bundle
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


def test_windows_of_however_many_models_come_with_their_references(live):
    profiles, make = live
    refs = [make(str(version)).ref for version in range(4)]
    for ref in refs:
        profiles.count([served(ref, 4096)])
    counted = profiles.take()
    assert (
        counted.references.keys()
        == {model for model, _ in counted.windows}
        == {ref.model.digest for ref in refs}
    )
    assert len(profiles._references) == 2


def test_former_models_are_let_go(live):
    profiles, make = live
    before = []
    for version in range(10):
        ref = make(str(version)).ref
        profiles.count([served(ref, 2)])
        assert profiles.take().references.keys() == {ref.model.digest}
        assert list(profiles._references) == [*before[-1:], ref.model.digest]
        before.append(ref.model.digest)


def test_those_that_answer_are_read_once_however_seldom_they_do(live, monkeypatch):
    profiles, make = live
    refs, opened = [make(version).ref for version in ("1", "2")], []
    monkeypatch.setattr(
        "sidecar.profile.live.open_bundle", lambda path: opened.append(path) or open_bundle(path)
    )
    for number in range(6):
        profiles.count([served(refs[number % 2], 1)])
        assert profiles.take().references.keys() == {refs[number % 2].model.digest}
        assert profiles.take() == ({}, {})
    assert opened == [ref.path for ref in refs]


def test_a_profile_that_cannot_be_read_is_told_of_once(live, caplog):
    profiles, make = live
    bundle = make("1")
    (bundle.path / REFERENCE).unlink()
    for _ in range(3):
        profiles.count([served(bundle.ref, 2)])
        assert profiles.take() == ({}, {})
    assert np.count_nonzero(["cannot be read" in record.message for record in caplog.records]) == 1
