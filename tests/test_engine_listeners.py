"""Where an engine listens, whatever it is made of."""

import socket
import stat

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from running_engine import SERVING, RunningEngine
from tiny_bundles import row

from sidecar.config import Listeners
from sidecar.errors import ConfigError


def test_listens_on_a_socket_for_the_group_and_on_a_free_port(kind, tmp_path, bundle):
    listeners = Listeners(uds="a socket.sock", tcp="127.0.0.1:0")
    with RunningEngine(tmp_path, kind, listeners=listeners, champion=bundle) as running:
        path = tmp_path / "a socket.sock"
        assert running.endpoints.uds == str(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        host, port = running.endpoints.tcp.split(":")
        assert host == "127.0.0.1"
        assert int(port) > 0
        with grpc.insecure_channel(running.endpoints.tcp) as channel:
            assert (
                health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status == SERVING
            )


def test_a_socket_that_a_dead_process_left_is_replaced(kind, tmp_path, bundle):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "sidecar.sock"))
    with RunningEngine(tmp_path, kind, champion=bundle) as running:
        assert running.client.predict(row()).score > 0


def test_a_listener_that_cannot_be_opened_is_named(kind, tmp_path):
    (tmp_path / "file").write_text("")
    with socket.socket() as taken, socket.socket(socket.AF_UNIX) as alive:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        alive.bind(str(tmp_path / "alive.sock"))
        alive.listen()
        cases = [
            (Listeners(uds="", tcp=""), "set at least one"),
            (Listeners(uds="file"), "no socket"),
            (Listeners(uds="alive.sock"), "another process"),
            (Listeners(uds="no/folder.sock"), "no folder"),
            (Listeners(uds="x" * 120), "shorter"),
            (Listeners(uds="", tcp="localhost"), "host:port"),
            (Listeners(uds="", tcp="127.0.0.1:99999"), "host:port"),
            (Listeners(uds="", tcp=f"127.0.0.1:{taken.getsockname()[1]}"), "cannot listen"),
        ]
        for listeners, words in cases:
            with pytest.raises(ConfigError, match=words), RunningEngine(tmp_path, kind, listeners=listeners):
                pass
    assert (tmp_path / "alive.sock").exists()
