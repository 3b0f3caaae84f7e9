"""Chunks don't wait for the disk: a crash loses the rows and their record together, or neither."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Connection, text

from copier import Chunk
from copier.errors import Transient
from dev.guard import Guard
from dev.postgres import PostgresServer
from tests.copying import ITEMS, Sides, spec
from tests.support import Database

#: A server that by itself would take its time to write down what asynchronous commits leave in memory.
SLOW_TO_WRITE = {
    "synchronous_commit": "on",
    "wal_writer_delay": "10s",
    "wal_writer_flush_after": "1GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}
BOTH = """
    SELECT (SELECT count(*) FROM items WHERE liquidation_id = 42),
           (SELECT coalesce(sum(rows), 0)::int FROM ledger)
"""


@pytest.fixture
def fragile(prod: Database, guard: Guard) -> Iterator[Sides]:
    with PostgresServer(guard.temp_folder(), "fragile", SLOW_TO_WRITE, guard=guard) as server:
        server.create_database("own")
        sides = Sides(prod, Database(server, "own"))
        sides.both(ITEMS)
        sides.prod.execute("INSERT INTO items SELECT g, 42, g, 'n' || g FROM generate_series(1, 100) g")
        sides.consulta.execute("CREATE TABLE ledger (number int PRIMARY KEY, rows int)")
        yield sides


def record(connection: Connection, chunk: Chunk) -> None:
    connection.execute(
        text("INSERT INTO ledger VALUES (:number, :rows)"),
        {"number": chunk.range.number, "rows": chunk.rows},
    )


def crash(sides: Sides) -> None:
    sides.consulta.server.crash()
    sides.consulta.server.start()


@pytest.mark.parametrize("parallel", [1, 3])
def test_after_a_crash_rows_and_records_are_there_together_or_not_at_all(
    fragile: Sides, parallel: int
) -> None:
    def crashes_at_the_eighth(connection: Connection, chunk: Chunk) -> None:
        record(connection, chunk)
        if chunk.range.number == 5:
            fragile.consulta.execute("CREATE TABLE waits_for_the_disk ()")  # and so does all before it
        if chunk.range.number == 8:
            crash(fragile)

    with fragile.open(spec(), chunk_rows=10, parallel=parallel) as copy, pytest.raises(Transient):
        copy.run(crashes_at_the_eighth)
    rows, in_ledger = fragile.consulta.rows(BOTH)[0]
    assert rows == in_ledger
    assert parallel > 1 or rows < 70, "nothing was lost: this server waited for the disk, which shows nothing"
    assert rows >= 40 or parallel > 1
    fragile.consulta.execute("TRUNCATE ledger")
    fragile.copy_proven(spec(), chunk_rows=10, record=record)
    assert fragile.consulta.rows(BOTH) == [(100, 100)]
    fragile.assert_same()


def test_the_commit_that_says_completed_makes_every_chunk_durable(fragile: Sides) -> None:
    fragile.copy_proven(spec(), chunk_rows=10, record=record)
    with psycopg.connect(fragile.consulta.url) as somebody:
        assert somebody.execute("SHOW synchronous_commit").fetchone() == ("on",)
        somebody.execute("CREATE TABLE completed ()")
    crash(fragile)
    assert fragile.consulta.rows(BOTH) == [(100, 100)]
    fragile.assert_same()
