"""The snapshot sees the table: whatever rewrites it meanwhile, and wherever its rows come from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from copier.errors import SeveralMoments, TableMissing, Transient
from tests.copying import ITEMS, Begun, Done, Sides, spec
from tests.support import Database, until

ROWS = "INSERT INTO items SELECT g, 42, g, 'n' || g FROM generate_series(1, 500) g"
WAITING = (
    "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessShareLock' AND relation IS NOT NULL"
)


@pytest.fixture
def full(sides: Sides) -> Sides:
    """500 rows in prod."""
    sides.both(ITEMS)
    sides.prod.execute(ROWS)
    return sides


@contextmanager
def altered(database: Database, statements: str) -> Iterator[Callable[[], None]]:
    """A transaction that has done this and not committed; call it to commit when somebody waits for it."""
    with psycopg.connect(database.url) as somebody:
        somebody.execute(statements.encode())

        def commit_when_waited_for() -> None:
            until(lambda: database.rows(WAITING) != [(0,)])
            somebody.commit()

        yield commit_when_waited_for
        somebody.rollback()


def copied_meanwhile(sides: Sides, database: Database, statements: str, **options: object) -> Done:
    """A copy that begins while somebody alters the table, and goes on when that is committed."""
    with ThreadPoolExecutor(1) as pool, altered(database, statements) as commit:
        copying: Future[Done] = pool.submit(sides.copy_proven, spec(), **options)
        commit()
        return copying.result(30)


REWRITES = {
    "a column gets another type": "ALTER TABLE items ALTER amount TYPE numeric(20, 4)",
    "it is emptied and loaded again": "TRUNCATE items; " + ROWS,
    "it is clustered": "CLUSTER items USING items_pkey",
    "another table takes its place": "CREATE TABLE new (LIKE items INCLUDING ALL); INSERT INTO new SELECT * "
    "FROM items; LOCK TABLE items; ALTER TABLE items RENAME TO old; ALTER TABLE new RENAME TO items",
}


@pytest.mark.parametrize("parallel", [1, 2])
@pytest.mark.parametrize("rewrite", REWRITES.values(), ids=REWRITES.keys())
def test_a_table_that_was_rewritten_when_the_copy_began_is_copied_whole(
    full: Sides, rewrite: str, parallel: int
) -> None:
    if "TYPE" in rewrite:
        full.consulta.execute(rewrite)
    done = copied_meanwhile(full, full.prod, rewrite, parallel=parallel, chunk_rows=100)
    assert done.plan.total == 500
    full.assert_same()


def test_a_rewritten_partition_is_copied_whole(sides: Sides) -> None:
    sides.both("""
        CREATE TABLE items (id int PRIMARY KEY, liquidation_id int, v text) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF items FOR VALUES FROM (0) TO (100);
        CREATE TABLE high PARTITION OF items FOR VALUES FROM (100) TO (1000);
    """)
    fill = "INSERT INTO items SELECT g, 42, 'v' || g FROM generate_series(1, 300) g"
    sides.prod.execute(fill)
    copied_meanwhile(
        sides,
        sides.prod,
        "TRUNCATE high; INSERT INTO high SELECT g, 42, 'w' FROM generate_series(100, 300) g",
    )
    sides.assert_same()
    assert sides.consulta.rows("SELECT count(*) FROM items WHERE v = 'w'") == [(201,)]


def test_a_table_that_was_rewritten_behind_a_view_is_copied_whole(full: Sides) -> None:
    full.prod.execute("ALTER TABLE items RENAME TO base; CREATE VIEW items AS SELECT * FROM base")
    copied_meanwhile(full, full.prod, "TRUNCATE base; " + ROWS.replace("items", "base"))
    full.assert_same()


def test_a_materialized_view_that_was_refreshed_is_copied_as_it_is_then(full: Sides) -> None:
    full.prod.execute(
        "ALTER TABLE items RENAME TO base; CREATE MATERIALIZED VIEW items AS SELECT * FROM base; "
        "UPDATE base SET note = 'new'"
    )
    copied_meanwhile(full, full.prod, "REFRESH MATERIALIZED VIEW items")
    full.assert_same()
    assert full.consulta.rows("SELECT DISTINCT note FROM items") == [("new",)]


def test_a_role_that_may_read_only_the_columns_sees_the_rewritten_table_too(full: Sides) -> None:
    """It can't lock the table before its snapshot: the snapshot is taken again instead."""
    reader = f"reads_columns_{full.prod.name}"
    full.prod.execute(
        f"CREATE ROLE {reader} LOGIN; GRANT SELECT (id, liquidation_id, amount, note) ON items TO {reader}"
    )
    url = full.prod.url.replace("postgres@", f"{reader}@")
    try:
        copied_meanwhile(full, full.prod, "TRUNCATE items; " + ROWS, prod_url=url)
        full.assert_same()
    finally:
        full.prod.execute(f"DROP OWNED BY {reader}; DROP ROLE {reader}")


@pytest.mark.parametrize("side", ["prod", "consulta"])
def test_a_table_that_is_being_altered_for_long_is_named(full: Sides, side: str) -> None:
    database = full.prod if side == "prod" else full.consulta
    full.consulta.execute("INSERT INTO items VALUES (1, 42)")
    with altered(database, "LOCK TABLE items IN ACCESS EXCLUSIVE MODE"), pytest.raises(Transient) as refused:
        full.copy(spec(), lock_timeout_seconds=0.1)
    if side == "prod":
        assert str(refused.value).startswith("table public.items of prod is being altered")
        assert refused.value.table == "items"
    assert full.consulta.rows("SELECT count(*) FROM items") == [(1,)]


def test_a_missing_table_is_still_named(full: Sides) -> None:
    with pytest.raises(TableMissing, match=r"table public\.nowhere not found in prod"):
        full.copy(replace(spec(), source_table=spec("nowhere").source_table))


def test_consulta_rewritten_between_copy_and_proof_is_compared_whole(full: Sides) -> None:
    with full.open(spec(), chunk_rows=100) as copy:
        result = copy.run()
        with (
            ThreadPoolExecutor(1) as pool,
            altered(
                full.consulta,
                "CREATE TEMPORARY TABLE kept AS SELECT * FROM items; TRUNCATE items; "
                "INSERT INTO items SELECT * FROM kept",
            ) as commit,
        ):
            proving = pool.submit(copy.verify, result)
            commit()
            assert proving.result(30).holds


def test_consulta_rewritten_before_a_range_is_looked_at_is_seen_whole(full: Sides) -> None:
    full.copy_proven(spec())
    with full.open(spec(), chunk_rows=100) as copy:
        run = Begun(copy)
        with (
            ThreadPoolExecutor(1) as pool,
            altered(full.consulta, "ALTER TABLE items ALTER id TYPE bigint USING id + 0") as commit,
        ):
            rest = pool.submit(run.finish)
            commit()
            result = rest.result(30)
            assert {chunk.outcome for chunk in result.chunks[1:]} == {"unchanged"}
        assert copy.verify(result).holds


# ------------------------------------------------------------------------------------------ foreign tables


@pytest.fixture
def far(sides: Sides) -> Iterator[Database]:
    """Another database, where the rows of prod are; prod knows it as the server ``far``."""
    server = sides.prod.server
    name = f"{sides.prod.name}_far"
    server.create_database(name, template="template0")
    far = Database(server, name)
    far.execute("""
        CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint, amount bigint);
        INSERT INTO items SELECT g, 42, 1 FROM generate_series(1, 800) g;
    """)
    sides.prod.execute("CREATE EXTENSION postgres_fdw" + servers(far, "far"))
    sides.consulta.execute("CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint, amount bigint)")
    yield far
    sides.prod.execute("DROP EXTENSION postgres_fdw CASCADE")
    server.drop_database(name)


def servers(far: Database, *names: str) -> str:
    options = f"host '127.0.0.1', port '{far.server.port}', dbname '{far.name}'"
    return "".join(
        f"; CREATE SERVER {name} FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({options}); "
        f"CREATE USER MAPPING FOR CURRENT_USER SERVER {name} OPTIONS (user 'postgres')"
        for name in names
    )


FOREIGN = (
    "CREATE FOREIGN TABLE {} (id bigint NOT NULL, liquidation_id bigint, amount bigint) SERVER {} "
    "OPTIONS (table_name 'items')"
)
ALL_FAR = {
    "a foreign table": FOREIGN.format("items", "far"),
    "a view of one": FOREIGN.format("remote", "far") + "; CREATE VIEW items AS SELECT * FROM remote",
    "a partition that is one": "CREATE TABLE items (id bigint, liquidation_id bigint, amount bigint) "
    "PARTITION BY LIST (liquidation_id); CREATE FOREIGN TABLE of_42 PARTITION OF items FOR VALUES IN (42) "
    "SERVER far OPTIONS (table_name 'items')",
}


@pytest.mark.parametrize("tables", ALL_FAR.values(), ids=ALL_FAR.keys())
def test_rows_of_another_server_are_all_of_one_moment(sides: Sides, far: Database, tables: str) -> None:
    """Money moves from row 1 to row 800 all the time: what arrives is what was there when the copy began."""
    sides.prod.execute(tables)
    over = threading.Event()

    def pay() -> None:
        with psycopg.connect(far.url, autocommit=True) as connection:
            while not over.is_set():
                connection.execute(
                    "UPDATE items SET amount = amount + CASE id WHEN 1 THEN -1 ELSE 1 END "
                    "WHERE id IN (1, 800)"
                )

    with ThreadPoolExecutor(1) as pool:
        paying = pool.submit(pay)
        try:
            for _ in range(3):
                sides.copy_proven(spec(), parallel=3, chunk_rows=100)
                assert sides.consulta.rows("SELECT count(*), sum(amount)::int FROM items") == [(800, 800)]
        finally:
            over.set()
            paying.result()


SEVERAL = {
    "on two servers": (
        "CREATE TABLE items (id bigint, liquidation_id bigint, amount bigint) PARTITION BY RANGE (id); "
        "CREATE FOREIGN TABLE low PARTITION OF items FOR VALUES FROM (0) TO (400) SERVER far; "
        "CREATE FOREIGN TABLE high PARTITION OF items FOR VALUES FROM (400) TO (900) SERVER further",
        "they are on the servers far, further",
    ),
    "here and there": (
        "CREATE TABLE items (id bigint, liquidation_id bigint, amount bigint) PARTITION BY RANGE (id); "
        "CREATE FOREIGN TABLE low PARTITION OF items FOR VALUES FROM (0) TO (400) SERVER far; "
        "CREATE TABLE high PARTITION OF items FOR VALUES FROM (400) TO (900)",
        r"public\.low is on the server far, public\.high is here",
    ),
    "in a file": (
        "CREATE EXTENSION IF NOT EXISTS file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw; "
        "CREATE FOREIGN TABLE items (id bigint NOT NULL, liquidation_id bigint, amount bigint) SERVER files "
        "OPTIONS (filename '/dev/null')",
        r"public\.items is a foreign table of file_fdw, which keeps no snapshot",
    ),
}


@pytest.mark.parametrize(("tables", "reason"), SEVERAL.values(), ids=SEVERAL.keys())
def test_rows_that_no_one_snapshot_holds_are_refused(
    sides: Sides, far: Database, tables: str, reason: str
) -> None:
    sides.prod.execute(servers(far, "further").removeprefix("; "))
    sides.prod.execute(tables)
    sides.consulta.execute("INSERT INTO items VALUES (7, 42, 7)")
    with pytest.raises(SeveralMoments, match=reason):
        sides.copy(spec())
    assert sides.consulta.rows("SELECT id FROM items") == [(7,)]
