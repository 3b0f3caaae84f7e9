"""The proxy fails as networks do, and only when told to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from dev.proxy import Proxy
from tests.support import Database, Servers


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            while True:
                try:
                    connection, _ = door.accept()
                except OSError:
                    return
                threading.Thread(target=reply, args=(connection,), daemon=True).start()

        def reply(connection: socket.socket) -> None:
            with connection:
                try:
                    while block := connection.recv(65536):
                        connection.sendall(block)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield door.getsockname()[1]
        door.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with Proxy(echo) as proxy:
        yield proxy


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def exactly(connection: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count and (block := connection.recv(count - len(got))):
        got += block
    return got


def test_all_bytes_pass_in_both_directions_and_are_counted(proxy: Proxy) -> None:
    message = bytes(range(256)) * 4096
    with connect(proxy) as connection:
        writer = threading.Thread(
            target=lambda: (connection.sendall(message), connection.shutdown(socket.SHUT_WR))
        )
        writer.start()
        assert exactly(connection, len(message)) == message
        assert connection.recv(1) == b""  # the end of the stream passes too
        writer.join()
    assert proxy.sent_bytes == proxy.received_bytes == len(message)


def test_a_cut_resets_open_connections_and_lets_new_ones_in(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        connection.sendall(b"hello")
        assert exactly(connection, 5) == b"hello"
        proxy.cut()
        assert proxy.open_connections == 0
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with connect(proxy) as connection:
        connection.sendall(b"again")
        assert exactly(connection, 5) == b"again"


def test_refused_connections_find_a_closed_port_until_they_are_allowed_again(proxy: Proxy) -> None:
    port = proxy.port
    with connect(proxy) as open_before:
        open_before.sendall(b"a")
        assert exactly(open_before, 1) == b"a"
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        open_before.sendall(b"b")
        assert exactly(open_before, 1) == b"b"
    proxy.allow()
    assert proxy.port == port
    with connect(proxy) as connection:
        connection.sendall(b"c")
        assert exactly(connection, 1) == b"c"


def test_a_stalled_connection_stays_open_and_loses_nothing(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        connection.sendall(b"before")
        assert exactly(connection, 6) == b"before"
        proxy.stall()
        connection.sendall(b"during")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        proxy.resume()
        assert exactly(connection, 6) == b"during"


def test_a_cut_comes_at_the_very_byte_it_was_ordered_for(proxy: Proxy) -> None:
    proxy.cut_after(100_000, "received")
    with connect(proxy) as connection:
        connection.settimeout(10)
        threading.Thread(target=lambda: _send(connection, bytes(1_000_000)), daemon=True).start()
        with pytest.raises(ConnectionResetError):
            while connection.recv(65536):
                pass
    assert proxy.wait_until_cut(5)
    assert proxy.received_bytes == 100_000


def test_a_line_stalls_at_the_very_byte_it_was_ordered_to_and_loses_nothing(proxy: Proxy) -> None:
    proxy.stall_after(100_000, "received")
    with connect(proxy) as connection:
        connection.settimeout(10)
        threading.Thread(target=lambda: _send(connection, bytes(300_000)), daemon=True).start()
        assert proxy.wait_until_cut(5)
        assert len(exactly(connection, 100_000)) == proxy.received_bytes == 100_000
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        proxy.resume()
        assert len(exactly(connection, 200_000)) == 200_000


def test_every_answer_over_a_long_way_comes_a_round_trip_later(echo: int) -> None:
    with Proxy(echo, round_trip_seconds=0.2) as proxy, connect(proxy) as connection:
        for _ in range(3):
            began = time.monotonic()
            connection.sendall(b"hello")
            assert exactly(connection, 5) == b"hello"
            assert 0.2 <= time.monotonic() - began < 2.0
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_a_long_way_delays_a_stream_once_and_keeps_its_order(echo: int) -> None:
    message = bytes(range(256)) * 8192
    with Proxy(echo, round_trip_seconds=0.1) as proxy, connect(proxy) as connection:
        began = time.monotonic()
        threading.Thread(target=lambda: _send(connection, message), daemon=True).start()
        assert exactly(connection, len(message)) == message
        assert time.monotonic() - began < 2.0  # a block a round trip would take more than three seconds


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_it_counts_the_answers_that_were_waited_for_and_not_what_was_sent_together(
    servers: Servers, prod: Database, seconds: float
) -> None:
    with Proxy(servers.prod.port, round_trip_seconds=seconds) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{prod.name}"
        with psycopg.connect(url, autocommit=True) as connection:
            before = proxy.round_trips
            connection.execute("SELECT 1")
            connection.execute("SELECT 1; SELECT 2; SELECT 3")
            assert proxy.round_trips - before == 2
            connection.execute("SELECT repeat('x', 1000000)")
            assert proxy.round_trips - before == 3


def _send(connection: socket.socket, message: bytes) -> None:
    try:
        connection.sendall(message)
    except OSError:
        return


def test_postgresql_goes_through_it_and_notices_the_cut(servers: Servers, prod: Database) -> None:
    with Proxy(servers.prod.port) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{prod.name}"
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            proxy.cut()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
