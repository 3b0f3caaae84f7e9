"""The embedded servers do what the tests ask of real ones: stop, crash, come back, keep their port."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from dev import postgres as postgres_module
from dev.guard import Guard
from dev.postgres import PostgresError, PostgresServer
from dev.valkey import Valkey
from tests.support import Database, Servers


@pytest.fixture(scope="module")
def cluster(guard: Guard) -> Iterator[PostgresServer]:
    """One that may be stopped, with the settings of production and without UTF-8's order."""
    settings = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "work_mem": "5MB"}
    with PostgresServer(guard.temp_folder(), "own", settings, guard=guard, locale="C") as server:
        yield server


def value(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def test_a_server_is_reached_by_port_and_by_socket(cluster: PostgresServer) -> None:
    assert value(cluster.url(), "SELECT inet_server_port()") == cluster.port
    assert value(cluster.socket_url(), "SELECT inet_server_port()") is None
    assert (
        cluster.url("a b", driver="psycopg")
        == f"postgresql+psycopg://postgres@127.0.0.1:{cluster.port}/a%20b"
    )


def test_settings_replace_the_careless_ones_of_the_demo(cluster: PostgresServer, servers: Servers) -> None:
    assert value(cluster.url(), "SHOW fsync") == "on"
    assert value(cluster.url(), "SHOW work_mem") == "5MB"
    assert value(cluster.url(), "SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == "C"
    assert value(servers.prod.url(), "SHOW fsync") == "off"


def test_what_was_committed_survives_a_crash_and_the_port_stays(cluster: PostgresServer) -> None:
    url = cluster.create_database("crashed")
    cluster.psql("CREATE TABLE kept AS SELECT 1 AS n", "crashed")
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO kept VALUES (2)")
        cluster.crash()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(url)
    cluster.start()
    assert cluster.psql("SELECT n FROM kept", "crashed") == "1\n"
    cluster.restart("immediate")
    assert value(url, "SELECT count(*) FROM kept") == 1


def test_a_port_lost_to_another_is_given_up_for_the_next(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        thief.listen()
        offered = iter([thief.getsockname()[1], postgres_module.candidate_port()])
        monkeypatch.setattr(postgres_module, "candidate_port", lambda: next(offered))
        with PostgresServer(guard.temp_folder(), "second-choice", guard=guard) as server:
            assert server.port != thief.getsockname()[1]
            assert value(server.url(), "SELECT 1") == 1


def test_a_server_that_does_not_start_says_why(guard: Guard) -> None:
    server = PostgresServer(guard.temp_folder(), "wrong", {"work_mem": "plenty"}, guard=guard)
    with pytest.raises(PostgresError, match=r'invalid value for parameter "work_mem": "plenty"'):
        server.start()
    with pytest.raises(PostgresError, match="too long for a socket"):
        PostgresServer(guard.temp_folder() / ("x" * 90), "deep", guard=guard).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a folder that its servers can't read")
def test_below_a_closed_folder_a_server_runs_from_a_copy_and_opens_nothing(
    guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dev import binaries

    package = binaries.installed_programs().parent.parent
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / package.name).symlink_to(package)
    (closed / f"{package.name}.libs").symlink_to(package.with_name(f"{package.name}.libs"))
    monkeypatch.setattr(binaries, "installed_programs", lambda: closed / package.name / "pginstall" / "bin")
    with Guard() as own, PostgresServer(own.temp_folder(), "copy", guard=own) as server:
        assert str(package) not in server.psql("SELECT setting FROM pg_config WHERE name = 'BINDIR'")
        assert server.psql("CREATE EXTENSION hstore; SELECT 'a=>1'::hstore -> 'a'") == "1\n"
    assert closed.stat().st_mode & 0o777 == 0o700


def test_each_test_has_empty_databases_of_its_own(prod: Database, consulta: Database) -> None:
    tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    assert prod.rows(tables) == consulta.rows(tables) == [(0,)]
    prod.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2)")
    assert prod.rows("SELECT n FROM t ORDER BY n") == [(1,), (2,)]
    assert consulta.rows(tables) == [(0,)]


def test_valkey_forgets_everything_when_killed_and_comes_back_on_its_port(valkey: Valkey) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.set("key", "value")
        valkey.kill()
        with pytest.raises(redis.ConnectionError):
            client.get("key")
        valkey.start()
        assert client.get("key") is None
        client.set("key", "value")
        valkey.flush()
        assert client.get("key") is None
        valkey.restart()
        assert client.ping()
