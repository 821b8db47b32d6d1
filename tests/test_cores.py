import os

import pytest

from sidecar.engine import cores


@pytest.mark.parametrize(
    ("quota", "granted"),
    [("100000 100000", 1), ("10000 100000", 1), ("150000 100000", 2), ("max 100000", None), ("", None)],
)
def test_a_containers_quota_counts(tmp_path, monkeypatch, quota, granted):
    allowed = len(os.sched_getaffinity(0))
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    monkeypatch.setattr(cores, "_QUOTA", file)
    assert cores.usable_cores() == min(allowed, granted or allowed)


def test_without_a_quota_the_affinity_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "none")
    assert cores.usable_cores() == len(os.sched_getaffinity(0))
