"""A hot standby of prod can be read from, and a standby of consulta that lags holds the copy back."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import Connection

from bot.config import SIDES
from copier import Chunk, CopySet, CopySpec, Limits
from copier.errors import Permanent, Transient
from dev.guard import Guard
from dev.postgres import PostgresServer
from dev.standby import Standby
from tests.copying import ITEMS, Begun, Sides, engine, spec
from tests.support import Database


@pytest.fixture(scope="module")
def primary(guard: Guard) -> Iterator[PostgresServer]:
    with PostgresServer(guard.temp_folder(), "primary", guard=guard) as server:
        yield server


@pytest.fixture(scope="module")
def standby(guard: Guard, primary: PostgresServer) -> Iterator[Standby]:
    settings = {"max_standby_streaming_delay": "0"}
    with Standby(primary, guard.temp_folder(), "standby", settings, guard=guard) as server:
        yield server


@pytest.fixture
def database(primary: PostgresServer, standby: Standby) -> Iterator[Database]:
    """A database of the primary, and so of the standby."""
    primary.create_database("own", template="template0")
    yield Database(primary, "own")
    primary.drop_database("own")
    standby.catch_up()


@pytest.fixture
def replicated(database: Database, consulta: Database, standby: Standby) -> Sides:
    """Prod has a standby: read from it by `prod_url`."""
    sides = Sides(database, consulta)
    sides.both(ITEMS)
    sides.prod.execute("INSERT INTO items SELECT g, 42, g, 'n' || g FROM generate_series(1, 200) g")
    standby.catch_up()
    return sides


@pytest.mark.parametrize("parallel", [1, 2])
def test_a_copy_reads_from_a_hot_standby_of_prod(replicated: Sides, standby: Standby, parallel: int) -> None:
    where = {"prod_url": standby.url("own"), "parallel": parallel, "chunk_rows": 30}
    first = replicated.copy_proven(spec(), **where)
    assert first.counts.inserted == 200
    replicated.prod.execute("UPDATE items SET note = 'new' WHERE id % 50 = 0")
    standby.catch_up()
    second = replicated.copy_proven(spec(), **where)
    assert second.counts.updated == 4
    replicated.assert_same()


def test_a_set_is_read_from_a_hot_standby_at_one_moment_a_table_after_the_other(
    replicated: Sides, standby: Standby
) -> None:
    lines = "CREATE TABLE lines (id bigint PRIMARY KEY, liquidation_id bigint, item bigint REFERENCES items)"
    replicated.both(lines)
    replicated.prod.execute("INSERT INTO lines SELECT g, 42, 1 + g % 200 FROM generate_series(1, 500) g")
    standby.catch_up()
    source, target = engine(standby.url("own")), engine(replicated.consulta.url)

    def named(table: str) -> CopySpec:
        return replace(spec(table), name=table)

    def change(name: str, chunk: Chunk) -> None:
        if (name, chunk.range.number) == ("items", 1):
            replicated.prod.execute("INSERT INTO items VALUES (9000, 42, 1, 'later')")
            replicated.prod.execute("INSERT INTO lines VALUES (9000, 42, 9000)")
            standby.catch_up()

    for seen in (500, 501):
        limits = Limits(parallel=3, chunk_rows=50)
        with CopySet(
            source, target, [named("lines"), named("items")], 42, names=SIDES, limits=limits
        ) as copies:
            result = copies.run(on_chunk=change if seen == 500 else lambda name, chunk: None)
            proof = copies.verify(result)
        assert proof is not None
        assert proof.holds, proof.reasons(SIDES)
        assert replicated.consulta.rows("SELECT count(*) FROM lines") == [(seen,)]
    replicated.assert_same("lines")


SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_standby_is_read_in_the_session_that_holds_the_snapshot(
    replicated: Sides, standby: Standby, parallel: int
) -> None:
    """One that is imported there sees what a transaction of many subtransactions commits later."""
    with psycopg.connect(replicated.prod.url) as somebody:
        somebody.execute("SELECT pg_current_xact_id()")
        for number in range(201, 301):
            with somebody.transaction():  # a subtransaction of the one that is open
                somebody.execute("INSERT INTO items VALUES (%s, 42, 0, 'not yet')", [number])
        standby.catch_up()
        where = {"prod_url": standby.url("own"), "parallel": parallel, "chunk_rows": 30}
        with replicated.open(spec(), **where) as copy:
            assert copy.plan().total == 200
            somebody.commit()
            standby.catch_up()
            run = Begun(copy)
            assert Database(standby, "own").rows(SESSIONS) == [(1,)]
            assert copy.verify(run.finish()).holds
    assert replicated.consulta.rows("SELECT count(*), max(id) FROM items") == [(200, 200)]


CONFLICTS = {
    "rows that vacuum removes": ["DELETE FROM items WHERE id > 100", "VACUUM items"],
    "a table that is dropped": ["DROP TABLE items"],
    "a table that is truncated": ["TRUNCATE items"],
}


@pytest.mark.parametrize("parallel", [1, 2])
@pytest.mark.parametrize("statements", CONFLICTS.values(), ids=CONFLICTS.keys())
def test_a_conflict_with_recovery_is_transient(
    replicated: Sides, standby: Standby, statements: list[str], parallel: int
) -> None:
    with replicated.open(spec(), prod_url=standby.url("own"), parallel=parallel, chunk_rows=10) as copy:
        copy.run(should_stop=lambda: True)
        with psycopg.connect(replicated.prod.url, autocommit=True) as somebody:
            for statement in statements:
                somebody.execute(statement)
        standby.catch_up()
        with pytest.raises(Transient) as failed:
            copy.run()
    assert failed.value.side == "prod"
    assert replicated.consulta.rows("SELECT count(*) % 10 FROM items") == [(0,)]


@pytest.fixture
def lagging(prod: Database, database: Database, standby: Standby) -> Iterator[Sides]:
    """Consulta has a standby, which replays nothing any more. Prod has 20 rows of 100 kB."""
    sides = Sides(prod, database)
    sides.both(ITEMS)
    sides.both("ALTER TABLE items ALTER note SET STORAGE EXTERNAL")
    sides.prod.execute("""
        INSERT INTO items SELECT g, 42, g, repeat(md5(g::text), 3200) FROM generate_series(1, 20) g
    """)
    standby.catch_up()
    replay(standby, "pause")
    yield sides
    replay(standby, "resume")


def replay(standby: Standby, what: str) -> None:
    standby.psql(f"SELECT pg_wal_replay_{what}()")


def test_a_standby_that_lags_holds_the_copy_back_and_lets_it_go_when_it_has_caught_up(
    lagging: Sides, standby: Standby
) -> None:
    told: list[float | None] = []
    copied_meanwhile: list[int] = []
    tick = threading.Event()

    def sleep(seconds: float) -> None:
        copied_meanwhile.append(lagging.consulta.rows("SELECT count(*) FROM items")[0][0])
        if len(copied_meanwhile) == 3:
            replay(standby, "resume")
        tick.wait(0.02)

    done = lagging.copy_proven(
        spec(), chunk_rows=2, chunk_seconds=1e-6, standby_lag_mb=0.5, sleep=sleep, throttled=told.append
    )
    assert done.plan.total == 20
    assert copied_meanwhile[:3] == [copied_meanwhile[0]] * 3  # nothing moves while it is held
    assert 2 < copied_meanwhile[0] < 20
    assert all(lag is None or lag > 0.5 for lag in told)
    assert told[0] is not None
    assert told[-1] is None
    lagging.assert_same()


def test_a_copy_that_is_held_back_can_be_told_to_stop(lagging: Sides) -> None:
    with lagging.open(spec(), chunk_rows=2, standby_lag_mb=0.1, sleep=lambda seconds: True) as copy:
        chunks = copy.run().chunks
    assert 0 < len(chunks) < 10
    assert lagging.consulta.rows("SELECT count(*) FROM items") == [(2 * len(chunks),)]


def test_a_failure_in_one_lane_ends_the_wait_of_the_others(lagging: Sides) -> None:
    both_in_hand, held, looks = threading.Barrier(2), threading.Event(), itertools.count()

    class Stale(Exception):
        pass

    def record(connection: Connection, chunk: Chunk) -> None:
        if chunk.range.number > 2:
            return
        both_in_hand.wait(30)
        if chunk.range.number == 1:  # from here on the standby lags by far more than it may
            lagging.consulta.execute("SELECT pg_logical_emit_message(false, 'test', repeat('x', 30000000))")
        else:
            assert held.wait(30)
            raise Stale

    def sleep(seconds: float) -> None:
        held.set()
        assert next(looks) < 3_000, "the lane still waits"
        threading.Event().wait(0.01)

    limits = {"chunk_rows": 2, "standby_lag_mb": 20, "parallel": 2}
    with lagging.open(spec(), sleep=sleep, **limits) as copy, pytest.raises(Stale):
        copy.run(record)
    assert next(looks) < 3_000
    assert lagging.consulta.rows("SELECT count(*) FROM items") == [(2,)]


def test_a_role_that_may_not_see_the_standbys_is_told_so_before_anything_is_written(lagging: Sides) -> None:
    lagging.consulta.execute("CREATE ROLE poor LOGIN; GRANT SELECT, INSERT, DELETE ON items TO poor")
    url = lagging.consulta.server.url(lagging.consulta.name, user="poor")
    try:
        with pytest.raises(Permanent, match="grant it pg_monitor") as failed:
            lagging.copy(spec(), consulta_url=url, standby_lag_mb=1000)
        assert (failed.value.side, failed.value.condition) == ("consulta", "StandbyLagHidden")
        assert lagging.consulta.rows("SELECT count(*) FROM items") == [(0,)]
        lagging.consulta.execute("GRANT pg_monitor TO poor")
        lagging.copy_proven(spec(), consulta_url=url, standby_lag_mb=1000)
    finally:
        lagging.consulta.execute("DROP OWNED BY poor; DROP ROLE poor")
