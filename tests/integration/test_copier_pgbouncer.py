"""Behind PgBouncer in transaction mode a copy works, and leaves nothing in the sessions that others get."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from copier import Count
from dev.guard import Guard
from dev.pgbouncer import PgBouncer
from tests.copying import ITEMS, Sides, engine, preview, spec

SETTINGS = "SELECT name, setting FROM pg_settings WHERE name <> 'application_name' ORDER BY name"
LEFT_BEHIND = """
    SELECT (SELECT count(*) FROM pg_prepared_statements) + (SELECT count(*) FROM pg_cursors)
         + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')
         + (SELECT count(*) FROM pg_class WHERE relpersistence = 't')
"""


@pytest.fixture
def bouncer(sides: Sides, guard: Guard) -> Iterator[PgBouncer]:
    databases = {"prod": sides.prod.url, "consulta": sides.consulta.url}
    with PgBouncer(guard.temp_folder(), databases, guard=guard) as bouncer:
        yield bouncer


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_whole_copy_works_behind_pgbouncer_and_no_setting_leaks(
    sides: Sides, bouncer: PgBouncer, parallel: int
) -> None:
    sides.both(ITEMS)
    sides.prod.execute("INSERT INTO items SELECT g, 42, g, 'n' || g FROM generate_series(1, 300) g")
    sides.consulta.execute("INSERT INTO items VALUES (7, 8, 0, 'moves')")
    prod, consulta = bouncer.url("prod"), bouncer.url("consulta")
    options: dict[str, Any] = {"prod_url": prod, "consulta_url": consulta, "parallel": parallel}

    seen = preview(engine(prod), engine(consulta), spec(), 42)
    assert (seen.in_source, seen.in_target) == (Count(300, exact=True), Count(0, exact=True))
    first = sides.copy_proven(spec(), chunk_rows=40, standby_lag_mb=1000, **options)
    assert sum(chunk.moved for chunk in first.chunks) == 1
    sides.prod.execute("UPDATE items SET note = 'new' WHERE id % 7 = 0; DELETE FROM items WHERE id = 1")
    second = sides.copy_proven(spec(), chunk_rows=40, **options)
    assert (second.counts.updated, second.counts.deleted) == (42, 1)
    sides.assert_same()

    for side, database in (("prod", sides.prod), ("consulta", sides.consulta)):
        database.close()
        with psycopg.connect(database.url) as fresh:
            wanted = fresh.execute(SETTINGS.encode()).fetchall()
            pooled = settled(fresh, database.name)
        assert len(pooled) >= parallel
        for settings, left_behind in states(bouncer.url(side), pooled).values():
            assert dict(settings).items() == dict(wanted).items()
            assert left_behind == 0


def test_sessions_behind_pgbouncer_are_kept_alive_while_a_copy_waits(
    sides: Sides, bouncer: PgBouncer
) -> None:
    """It waits a second after each chunk, and the servers end what is silent for less."""
    sides.both(ITEMS)
    sides.prod.execute("INSERT INTO items SELECT g, 42, g FROM generate_series(1, 300) g")
    prod, consulta = bouncer.url("prod"), bouncer.url("consulta")
    done = sides.copy_proven(
        spec(), prod_url=prod, consulta_url=consulta, rows_per_second=100, lost_seconds=0.8, parallel=2
    )
    assert len(done.chunks) > 2
    sides.assert_same()


def sessions_of(connection: psycopg.Connection, database: str) -> set[int]:
    """The server processes of the pool."""
    rows = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'",
        [database],
    )
    return {pid for (pid,) in rows}


def settled(connection: psycopg.Connection, database: str) -> set[int]:
    """The same, once no process of a session that was ended is on its way out."""
    before: set[int] = set()
    deadline = time.monotonic() + 60
    while (now := sessions_of(connection, database)) != before and time.monotonic() < deadline:
        before = now
        connection.rollback()  # within one transaction the view shows what it has shown before
        time.sleep(0.3)
    return now


def states(url: str, pooled: set[int]) -> dict[int, tuple[list[tuple[str, str]], int]]:
    """What the next users of these sessions find there: as many transactions at once as there are."""
    found = {}
    with ExitStack() as stack:
        for _ in pooled:
            connection = stack.enter_context(psycopg.connect(url, prepare_threshold=None))
            settings = connection.execute(SETTINGS.encode()).fetchall()
            pid, left = connection.execute(f"SELECT pg_backend_pid(), ({LEFT_BEHIND})".encode()).fetchall()[0]
            found[pid] = (settings, left)
    assert set(found) == pooled
    return found
