"""Listening sockets of our own and a gRPC server's: the same checks, the same words."""

import asyncio
import socket
import stat

import grpc
import pytest

from sidecar.errors import ConfigError
from sidecar.listen import listen_tcp, listen_uds, open_tcp, open_uds

KEY = "[listeners] tcp"


@pytest.fixture
def taken():
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        opened.listen()
        yield f"127.0.0.1:{opened.getsockname()[1]}"


def by_grpc(listen, *arguments):
    """What a gRPC server's listener says when it cannot be opened."""

    async def attempt():
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        with pytest.raises(ConfigError) as caught:
            listen(server, *arguments)
        await server.stop(0)
        return str(caught.value)

    return asyncio.run(attempt())


def by_us(listen, *arguments):
    with pytest.raises(ConfigError) as caught:
        listen(*arguments)
    return str(caught.value)


def test_a_taken_port_is_said_alike(taken):
    said = f"[listeners] tcp: cannot listen on {taken}: Address already in use"
    assert by_us(open_tcp, KEY, taken) == by_grpc(listen_tcp, KEY, taken) == said


@pytest.mark.parametrize("address", ["localhost", ":80", "a:b", "127.0.0.1:65536"])
def test_what_is_no_address_is_said_alike(address):
    said = f"[listeners] tcp: {address!r} is not host:port"
    assert by_us(open_tcp, KEY, address) == by_grpc(listen_tcp, KEY, address) == said


def test_an_address_of_another_machine_is_said_alike():
    said = by_us(open_tcp, KEY, "192.0.2.1:8080")
    assert said == by_grpc(listen_tcp, KEY, "192.0.2.1:8080")
    assert said.startswith("[listeners] tcp: cannot listen on 192.0.2.1:8080: ")


def test_a_path_that_cannot_be_used_is_said_alike(tmp_path):
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(tmp_path / "alive"))
        alive.listen()
        for name in ("file", "alive", "no/folder", "x" * 200):
            said = by_us(open_uds, "uds", tmp_path / name, 0o660)
            assert said == by_grpc(listen_uds, "uds", tmp_path / name, 0o660)
            assert said.startswith("uds: ")


def test_a_free_port_is_the_same_on_every_address_of_the_host():
    opened, address = open_tcp(KEY, "localhost:0")
    host, _, port = address.rpartition(":")
    assert host == "localhost"
    assert {each.getsockname()[1] for each in opened} == {int(port)}
    addresses = {info[4][0] for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    assert {each.getsockname()[0] for each in opened} <= addresses
    assert "Address already in use" in by_us(open_tcp, KEY, address)
    for each in opened:
        assert not each.getblocking()
        with socket.create_connection(each.getsockname()[:2]):
            pass
        each.close()
    again, _ = open_tcp(KEY, address)  # connections that were just closed do not keep the port
    for each in again:
        each.close()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6")
def test_addresses_of_ipv6_stand_in_brackets_and_all_interfaces_are_those_of_ipv4_too():
    (one,), address = open_tcp(KEY, "[::1]:0")
    assert address == f"[::1]:{one.getsockname()[1]}"
    one.close()
    (every,), address = open_tcp(KEY, "[::]:0")
    with socket.create_connection(("127.0.0.1", every.getsockname()[1])):
        pass
    every.close()


def test_a_socket_has_its_permissions_and_replaces_a_dead_ones(tmp_path):
    path = tmp_path / "a.sock"
    for _ in range(2):
        with open_uds("uds", path, 0o660) as opened:
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            assert not opened.getblocking()
            with socket.socket(socket.AF_UNIX) as caller:
                caller.connect(str(path))
    assert path.is_socket()
