"""A sidecar has its older rows sealed while it serves, and says how that goes."""

import json

import pytest
from sidecar_process import SidecarProcess, admit_without_check, promote, run_cli, wait_until
from tiny_bundles import row, tiny_bundle

from sidecar.client import Client, Record
from sidecar.domain import to_texts
from sidecar.store.reader import LogReader

pytest.importorskip("pyarrow")


def test_rows_are_sealed_while_it_serves_and_read_as_before(tmp_path):
    home = tmp_path / "home"
    bundle = tiny_bundle(home / "bundles")
    admit_without_check(home, bundle)
    promote(home, bundle)
    ids = [f"r{number}" for number in range(500)]
    with SidecarProcess(home, SIDECAR_LOG_SEAL_HOURS="0.0001") as sidecar:
        assert "sealed into Parquet after 0.0001 h" in run_cli("status", home=home).stdout
        with Client(sidecar.target, deadline=60) as client:
            list(client.predict_many(Record(row(), key) for key in ids))
        files = wait_until(lambda: list((home / "log").rglob("served/**/[!.]*.parquet")))
        assert files
        said = wait_until(
            lambda: (
                "rows sealed" in (now := json.loads(run_cli("status", "--json", home=home).stdout))["sealing"]
                and now
            )
        )
        assert said["written"] == 500
        with LogReader(home / "log.db") as log:
            assert [key for batch in log.served() for key in to_texts(batch.request_ids)] == ids
        assert sidecar.stop() == 0
