"""The load generator of benchmarks/: what it says must be true of a server that misbehaves."""

import os
import shutil
import signal
import threading
import time

import pytest

from benchmarks import open_loop
from benchmarks.lineup import sidecar
from benchmarks.payload import Payload, infer
from benchmarks.servers import Running

pytestmark = pytest.mark.skipif(
    shutil.which("cargo") is None, reason="the load generator is built with cargo"
)
RATE, SECONDS, PAUSE = 100, 3.0, 1.0


@pytest.fixture(scope="module")
def program():
    return open_loop.build()


@pytest.fixture(scope="module")
def running():
    with Running(sidecar("python")) as server:
        yield server


def send(program, running, payload, *options, target=None):
    return open_loop.run(program, target or running.address, payload, running.folder, *options)


def test_a_pause_of_the_server_is_charged_to_every_call_that_fell_into_it(program, running):
    def pause():
        time.sleep(1.0)
        os.kill(running.process.pid, signal.SIGSTOP)
        time.sleep(PAUSE)
        os.kill(running.process.pid, signal.SIGCONT)

    pausing = threading.Thread(target=pause)
    pausing.start()
    found = send(program, running, infer(1), *open_loop.at_rate(RATE, SECONDS, 0), "--even")
    pausing.join()
    assert found.sent == RATE * SECONDS  # none was left out because others were slow
    assert found.ends == {"0": found.sent}
    assert found.latency_us["p999"] >= 0.9e6 * PAUSE
    # Half of the pause's calls, a sixth of all, waited for half of it; in a closed loop one would have.
    assert found.latency_us["p90"] >= 0.3e6 * PAUSE


def test_both_transports_and_the_replies(program, running):
    kept = running.folder / "replies"
    for target in (running.address, f"unix:{running.uds}"):
        options = ("--in-flight", "2", "--connections", "2", "--requests", "50", "--warm-up", "0")
        found = send(program, running, infer(1), *options, "--replies", str(kept), target=target)
        assert found.ends == {"0": 50}
        replies = list(open_loop.read_replies(kept.read_bytes()))
        assert len(replies) == 50
        assert all(latency_ns > 0 and b"benchmark" in message for latency_ns, message in replies)


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (Payload("unknown", "/sidecar.v1.PredictionService/Nothing", b"", 0), "12"),
        (Payload("bad", infer(1).method, b"\xff", 1), "3"),
    ],
)
def test_errors_are_told_by_their_grpc_status(program, running, payload, status):
    found = send(program, running, payload, *open_loop.at_rate(RATE, 0.5, 0))
    assert set(found.ends) == {status}
    assert found.failed == found.sent > 0
    assert found.achieved_rate == 0


def test_a_server_that_is_not_there_is_an_error(program, running):
    with pytest.raises(open_loop.LoadError, match="refused"):
        send(program, running, infer(1), *open_loop.at_rate(RATE, 0.5), target="127.0.0.1:1")
