"""What a sidecar holds open in small files takes little memory for each of them."""

import pytest

from sidecar.findings import FindingStore
from sidecar.profile.store import ProfileStore
from sidecar.registry import Registry
from sidecar.small_file import CACHE_KIB, open_small_file


@pytest.mark.parametrize(
    ("kind", "module"),
    [
        (FindingStore, "sidecar.findings"),
        (ProfileStore, "sidecar.profile.store"),
        (Registry, "sidecar.registry_file"),
    ],
)
def test_every_small_file_is_opened_with_little_memory_for_pages(tmp_path, monkeypatch, kind, module):
    opened = []

    def remember(path):
        opened.append(open_small_file(path))
        return opened[-1]

    monkeypatch.setattr(f"{module}.open_small_file", remember)
    with kind(tmp_path / "small.db") as store:
        if kind is Registry:
            store.create()
        (connection,) = opened
        assert connection.execute("PRAGMA cache_size").fetchone()[0] == -CACHE_KIB
