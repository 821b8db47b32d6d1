"""Every answered row is written, sampled out, dropped, failed or, after a kill, lost: exactly, in trouble.

The sidecar runs as a process of its own; the disk is a small real one that is filled, the stalled writer
another process that holds SQLite's write lock.
"""

import subprocess
import sys
from contextlib import contextmanager, suppress

import pytest
from sidecar_process import SidecarProcess, admit_without_check, promote, run_cli, wait_until
from tiny_bundles import row, tiny_bundle

from sidecar.client import CallError, Client, Record
from sidecar.domain import to_ids, to_texts
from sidecar.sampling import is_kept
from sidecar.store.reader import LogReader
from sidecar.v1 import admin_pb2

SHARE = 0.7
SETTINGS = {
    "SIDECAR_RECORDER_FLUSH_SECONDS": "0.02",
    "SIDECAR_RECORDER_BATCH_ROWS": "100",
    "SIDECAR_RECORDER_SHARE": str(SHARE),
    "SIDECAR_LIMITS_RING_ROWS": "500",
}
HELD_ROWS = 800
FATES = ("written", "sampled_out", "dropped", "failed")
LOCKER = """
import sqlite3, sys
from sidecar.domain import to_texts
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


def prepare(home):
    bundle = tiny_bundle(home / "bundles")
    admit_without_check(home, bundle)
    promote(home, bundle)
    return home


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 16 MB that only this test uses."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", mounted], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("mounting a file system is not permitted here")
    yield mounted
    subprocess.run(["umount", mounted], check=True)


@contextmanager
def full(disk):
    """No byte free on the disk."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (2**20, 2**12):  # the last megabyte piece by piece
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    yield
    ballast.unlink()


def send(sidecar, prefix, rows):
    """Ask about so many rows; the ids answered."""
    with Client(sidecar.target, deadline=60) as client:
        records = (Record(row(x=number % 7), f"{prefix}-{number}") for number in range(rows))
        return [reply.request_id for reply in client.predict_many(records)]


def status(sidecar):
    with sidecar.admin() as stub:
        return stub.GetStatus(admin_pb2.GetStatusRequest())


def settled(sidecar):
    """The status once no row is on its way."""
    found = wait_until(lambda: (now := status(sidecar)).queued + now.waiting == 0 and accounted(now) and now)
    assert found.served == sum(getattr(found, fate) for fate in FATES)
    return found


def accounted(found):
    return found.served == sum(getattr(found, fate) for fate in (*FATES, "queued", "waiting"))


def books(home):
    with LogReader(home / "log.db") as log:
        return log.runs(), [key for batch in log.served() for key in to_texts(batch.request_ids)]


def kept(ids):
    return [key for key, is_in in zip(ids, is_kept(to_ids(ids), SHARE).tolist(), strict=True) if is_in]


def test_full_disk_and_kill(small_disk):
    home = prepare(small_disk / "home")
    roomy = {**SETTINGS, "SIDECAR_LIMITS_RING_ROWS": "8000"}  # so that no row misses its draw
    with SidecarProcess(home, **roomy) as sidecar:
        ids = send(sidecar, "before", 300)
        settled(sidecar)
        with full(small_disk):
            ids += send(sidecar, "full", 4000)
            # A batch has just come, now and then, and what is too much has not been given up yet.
            wait_until(
                lambda: (now := status(sidecar)).failed and not now.queued and now.waiting <= HELD_ROWS
            )
            with Client(sidecar.target, deadline=60) as client, pytest.raises(CallError, match="full"):
                client.record_outcome(ids[0], label=1)
        ids += send(sidecar, "after", 200)
        found = settled(sidecar)
        assert found.served == len(ids) == 4500
        assert found.sampled_out == len(ids) - len(kept(ids))
        shown = run_cli("status", home=home).stdout
        assert f"{found.served:,} served = {found.written:,} written + {found.sampled_out:,} sampled" in shown
        assert sidecar.stop() == 0
    (run,), logged = books(home)
    assert {fate: getattr(run, fate) for fate in FATES} == {fate: getattr(found, fate) for fate in FATES}
    assert (run.offered, run.lost) == (4500, 0)
    assert len(logged) == len(set(logged)) == run.written
    assert set(logged) <= set(kept(ids))
    assert set(kept([key for key in ids if not key.startswith("full")])) <= set(logged)

    with SidecarProcess(home, **SETTINGS) as sidecar:
        with full(small_disk):
            ids = send(sidecar, "killed", 300)
            sidecar.kill()
        with SidecarProcess(home, **SETTINGS):
            (*_, killed, _), logged = books(home)
    mine = [key for key in logged if key.startswith("killed")]
    assert killed.closed_ns is not None
    assert (killed.offered, killed.written) == (len(ids), len(mine))
    assert killed.lost == len(ids) - sum(getattr(killed, fate) for fate in FATES)
    assert killed.lost > 0
    assert killed.sampled_out <= len(ids) - len(kept(ids))


def test_stalled_writer(tmp_path):
    home = prepare(tmp_path / "home")
    with SidecarProcess(home, **SETTINGS) as sidecar:
        ids = send(sidecar, "before", 100)
        settled(sidecar)
        with subprocess.Popen(
            [sys.executable, "-c", LOCKER, home / "log.db"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as locker:
            assert locker.stdout.readline() == "held\n"
            ids += send(sidecar, "stalled", 2000)
            found = wait_until(lambda: (now := status(sidecar)).dropped and now)
            assert found.written == len(kept(ids[:100]))
            locker.stdin.write("\n")
        settled(sidecar)  # until there is room in the ring again
        ids += send(sidecar, "after", 100)
        found = settled(sidecar)
        assert found.served == len(ids) == 2200
        assert found.dropped > 0
        assert sidecar.stop() == 0
    (run,), logged = books(home)
    assert run.offered == sum(getattr(run, fate) for fate in FATES)
    assert (run.lost, run.written) == (0, len(logged))
    assert {"before", "stalled", "after"} == {key.split("-")[0] for key in logged}
