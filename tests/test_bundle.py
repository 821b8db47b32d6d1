import hashlib
import io
import json
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
from tiny_bundles import SIGNATURE, tiny_bundle

from sidecar.bundle import FILES, FORMAT, MANIFEST, PIPELINE, REFERENCE, TRANSFORM, open_bundle, write_bundle
from sidecar.errors import BundleError
from sidecar.signature import Signature


@pytest.fixture
def bundle(tmp_path):
    return tiny_bundle(tmp_path)


def edit(path, data):
    path.chmod(0o644)
    path.write_bytes(data)


def test_is_a_read_only_folder_named_by_its_content(bundle, tmp_path):
    assert {entry.name for entry in bundle.path.iterdir()} == FILES
    assert all(stat.S_IMODE(entry.stat().st_mode) == 0o444 for entry in bundle.path.iterdir())
    lines = "".join(
        f"{hashlib.sha256((bundle.path / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted(FILES)
    )
    assert bundle.path.name == bundle.model.digest == hashlib.sha256(lines.encode()).hexdigest()
    assert [entry.name for entry in tmp_path.iterdir()] == [bundle.path.name], "no staging folder is left"


def test_what_was_written_is_read_back(bundle):
    again = open_bundle(bundle.path)
    assert again == bundle
    assert (again.model.name, again.model.version) == ("tiny", "1")
    assert again.signature == SIGNATURE
    assert again.feature_names == ("x", "amount", "colour=red")
    assert again.manifest["made_by"] == "tests"
    assert again.manifest["signature_digest"] == SIGNATURE.digest
    transform = (bundle.path / TRANSFORM).read_bytes()
    assert again.manifest["transform_digest"] == hashlib.sha256(transform).hexdigest()
    assert (again.ref.model, again.ref.path) == (again.model, bundle.path)


def test_the_same_content_gives_the_same_folder_and_other_content_another(bundle, tmp_path):
    assert tiny_bundle(tmp_path) == bundle
    assert tiny_bundle(tmp_path, "2").path != bundle.path
    assert tiny_bundle(tmp_path, weight=2.5).path != bundle.path


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_damaged_file_is_refused(bundle, name):
    data = bytearray((bundle.path / name).read_bytes())
    data[len(data) // 2] ^= 1
    edit(bundle.path / name, bytes(data))
    with pytest.raises(BundleError, match="damaged or edited"):
        open_bundle(bundle.path)


def test_an_edited_manifest_is_refused(bundle):
    manifest = json.loads((bundle.path / MANIFEST).read_text())
    manifest["version"] = "better"
    edit(bundle.path / MANIFEST, json.dumps(manifest).encode())
    with pytest.raises(BundleError, match="damaged or edited"):
        open_bundle(bundle.path)


def test_an_added_or_removed_file_is_refused_by_name(bundle):
    (bundle.path / "weights.bin").write_bytes(b"")
    with pytest.raises(BundleError, match=r"weights\.bin"):
        open_bundle(bundle.path)
    (bundle.path / "weights.bin").unlink()
    (bundle.path / REFERENCE).unlink()
    with pytest.raises(BundleError, match=r"reference\.npz"):
        open_bundle(bundle.path)


def test_a_folder_with_another_name_is_refused(bundle, tmp_path):
    copy = shutil.copytree(bundle.path, tmp_path / ("0" * 64))
    with pytest.raises(BundleError, match="digest"):
        open_bundle(copy)


def test_files_that_changed_places_are_refused(bundle):
    pipeline, transform = ((bundle.path / name).read_bytes() for name in (PIPELINE, TRANSFORM))
    edit(bundle.path / PIPELINE, transform)
    edit(bundle.path / TRANSFORM, pipeline)
    with pytest.raises(BundleError, match="damaged or edited"):
        open_bundle(bundle.path)


def test_a_link_in_place_of_a_file_is_refused(bundle, tmp_path):
    outside = tmp_path / "outside.npz"
    shutil.move(bundle.path / REFERENCE, outside)
    (bundle.path / REFERENCE).symlink_to(outside)
    with pytest.raises(BundleError, match="not a plain file"):
        open_bundle(bundle.path)


def test_a_folder_of_thousands_of_files_is_refused_in_a_short_sentence(tmp_path):
    for number in range(100):
        (tmp_path / f"file{number}").touch()
    with pytest.raises(BundleError, match="and 96 more; export it again") as refused:
        open_bundle(tmp_path)
    assert len(str(refused.value)) < 300


def test_a_file_that_cannot_be_read_is_no_crash(bundle, monkeypatch):
    def broken(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "is_symlink", broken)
    with pytest.raises(BundleError, match=r"cannot be read: .*Input/output error"):
        open_bundle(bundle.path)


@pytest.mark.parametrize("version", ["", "x" * 129, "a\nb", "\x1b[31m"])
def test_a_name_that_cannot_be_shown_is_refused(tmp_path, version):
    with pytest.raises(BundleError, match=r"its version is .*; use 1 to 128 printable characters"):
        tiny_bundle(tmp_path, version)


def test_no_folder_no_bundle(tmp_path):
    with pytest.raises(BundleError, match="not a folder"):
        open_bundle(tmp_path / "nothing")


def test_another_format_is_refused(bundle, tmp_path):
    content = {name: (bundle.path / name).read_bytes() for name in FILES}
    manifest = json.loads(content[MANIFEST]) | {"format": FORMAT + 1}
    content[MANIFEST] = json.dumps(manifest).encode()
    lines = "".join(f"{hashlib.sha256(content[name]).hexdigest()}  {name}\n" for name in sorted(FILES))
    folder = tmp_path / hashlib.sha256(lines.encode()).hexdigest()
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"format {FORMAT + 1}"):
        open_bundle(folder)


def test_only_the_known_files_can_be_written(tmp_path):
    reference = io.BytesIO()
    np.savez(reference, rows=np.array([0]))
    files = {PIPELINE: b"", TRANSFORM: b"", REFERENCE: reference.getvalue(), "notes.txt": b""}
    with pytest.raises(ValueError, match=r"notes\.txt"):
        write_bundle(
            tmp_path / "bundles",
            name="tiny",
            version="1",
            signature=Signature(SIGNATURE.fields),
            feature_names=("x",),
            files=files,
            facts={},
        )
    assert not (tmp_path / "bundles").exists()
