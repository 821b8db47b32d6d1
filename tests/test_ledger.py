import os
import signal
import subprocess
import sys

from sidecar.ledger import Ledger


def test_counts_each_kind_of_row(tmp_path):
    ledger = Ledger.create(tmp_path / "folder" / "ledger")
    assert (ledger.offered, ledger.dropped, ledger.failed) == (0, 0, 0)
    ledger.offer(10)
    ledger.offer(2**40)
    ledger.drop(3)
    ledger.fail(2)
    ledger.sample_out(4)
    assert (ledger.offered, ledger.dropped, ledger.failed, ledger.sampled_out) == (10 + 2**40, 3, 2, 4)
    ledger.close()


def test_the_counters_are_there_after_it_is_opened_again(tmp_path):
    ledger = Ledger.create(tmp_path / "ledger")
    ledger.offer(5)
    ledger.close()
    again = Ledger(tmp_path / "ledger")
    again.drop(1)
    assert (again.offered, again.dropped) == (5, 1)
    again.close()
    assert Ledger.read(tmp_path / "ledger") == {"offered": 5, "dropped": 1, "failed": 0, "sampled_out": 0}


def test_a_new_ledger_starts_at_zero_and_a_file_of_another_size_is_replaced(tmp_path):
    path = tmp_path / "ledger"
    path.write_bytes(b"x" * 7)
    assert Ledger.read(path) is None
    ledger = Ledger(path)
    assert ledger.offered == 0
    ledger.offer(5)
    ledger.close()
    fresh = Ledger.create(path)
    assert fresh.offered == 0
    fresh.close()
    assert Ledger.read(tmp_path / "absent") is None


def test_the_counters_survive_kill_9(tmp_path):
    path = tmp_path / "ledger"
    script = (
        "import sys, pathlib; from sidecar.ledger import Ledger\n"
        "ledger = Ledger.create(pathlib.Path(sys.argv[1]))\n"
        "for _ in range(1000): ledger.offer(1)\n"
        "ledger.drop(7)\n"
        "print('counted', flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "counted\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert Ledger.read(path) == {"offered": 1000, "dropped": 7, "failed": 0, "sampled_out": 0}
