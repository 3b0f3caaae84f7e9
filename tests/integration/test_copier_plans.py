"""Each range is read by the index on (liquidation column, key), wherever it lies among other liquidations.

What is explained here are the engine's own statements, under the engine's own settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from copier import Advice, Chunk, statements
from copier.model import RESERVED
from copier.table_slice import TableSlice
from tests.copying import Sides, engine, preview, spec
from tests.support import Database

COLUMNS = """
    liquidation_id {liquidation} NOT NULL, employee_id bigint NOT NULL, concept_code text NOT NULL,
    description text, amount numeric(14,2) NOT NULL, currency char(3) NOT NULL, period date NOT NULL,
    metadata jsonb, created_at timestamptz NOT NULL
"""
# As the bench: half of the liquidation lies among others, one row in three, the other half in one piece,
# and then rows of others to the end.
ROWS = """
    INSERT INTO items
    SELECT {key}, CASE WHEN g <= 12000 AND g % 3 = 0 THEN 42 WHEN g > 16000 AND g <= 20000 THEN 42
                  ELSE 30 + g % 7 + CASE WHEN g % 2 = 0 THEN 0 ELSE 20 END END,
           g % 50000, 'C' || g % 400, 'Concepto de liquidación ' || md5(g::text), g / 100.0, 'ARS',
           date '2024-01-01' + (g % 24) * 30, jsonb_build_object('line', g % 5000), now()
      FROM generate_series(1, 24000) g;
    ANALYZE items;
"""


@dataclass(frozen=True)
class Case:
    key: str
    values: str
    index: str
    liquidation: str = "bigint"


CASES = {
    "bigint": Case("id bigint PRIMARY KEY", "g", "(liquidation_id, id)"),
    "numeric liquidation": Case("id bigint PRIMARY KEY", "g", "(liquidation_id, id)", "numeric"),
    "uuid": Case("id uuid PRIMARY KEY", "md5(g::text)::uuid", "(liquidation_id, id)"),
    "composite": Case("a int, b text, PRIMARY KEY (a, b)", "g / 100, 'b' || g % 100",
                      "(liquidation_id, a, b)"),
    "text of other collations": Case("id text COLLATE {collation} PRIMARY KEY", "'k' || g",
                                     '(liquidation_id, id COLLATE "C")'),
}  # fmt: skip
COLLATIONS = {"prod": "pg_c_utf8", "consulta": "pg_unicode_fast"}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def full(sides: Sides, request: pytest.FixtureRequest) -> Sides:
    """The same rows on both sides, with the index."""
    case: Case = request.param
    for side, database in (("prod", sides.prod), ("consulta", sides.consulta)):
        key = case.key.format(collation=COLLATIONS[side])
        database.execute(f"""
            CREATE TABLE items ({key}, {COLUMNS.format(liquidation=case.liquidation)});
            CREATE INDEX by_range ON items {case.index};
            {ROWS.format(key=case.values)}
        """)
    return sides


def explained(database: Database, statement: str) -> list[tuple[str, int]]:
    """Each scan of the plan: its index (or its kind), and how many rows it read in vain. Leaves no trace."""
    return scans(plan(database, statement))


def plan(database: Database, statement: str) -> dict[str, Any]:
    with psycopg.connect(database.url) as connection:
        connection.execute(statements.of_lane(by_index=True).encode())
        found = connection.execute(f"EXPLAIN (ANALYZE, FORMAT json) {statement}".encode()).fetchone()
        connection.rollback()
    assert found is not None
    top: dict[str, Any] = found[0][0]["Plan"]
    return top


def scans(node: dict[str, Any]) -> list[tuple[str, int]]:
    below = [scan for child in node.get("Plans", []) for scan in scans(child)]
    if "Scan" not in node["Node Type"]:
        return below
    vain = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    if below:  # a bitmap's heap scan: the index is below it
        return [(index, more + vain) for index, more in below]
    return [(node.get("Index Name", node["Node Type"]), vain)]


def test_every_range_is_read_and_deleted_by_the_index_and_no_row_is_read_in_vain(full: Sides) -> None:
    with full.open(spec(), chunk_rows=1_200) as copy:
        ours, theirs = copy._source, copy._target
        assert (ours.has_index, theirs.has_index) == (True, True)
        chunks = copy.run().chunks
    assert len(chunks) == 7
    for chunk in (chunks[0], chunks[2], chunks[3], chunks[-1]):
        for statement in reads(ours, chunk):
            assert explained(full.prod, statement) == [("by_range", 0)], statement
        for statement in [*reads(theirs, chunk), statements.delete(theirs, chunk.range).as_string()]:
            assert explained(full.consulta, statement) == [("by_range", 0)], statement


def test_to_replace_a_few_rows_of_a_range_reads_no_others(full: Sides) -> None:
    full.consulta.execute("DELETE FROM items WHERE liquidation_id <> 42; ANALYZE items")
    with full.open(spec(), chunk_rows=1_200) as copy:
        ours, theirs = copy._source, copy._target
        part = copy.run().chunks[2].range
    found = full.prod.rows(statements.keys_at(ours, part, [3, 500, 900]).as_string())
    keys = [tuple(key) for (key,) in found]
    copy_out = statements.copy_out(ours, part, keys).as_string()
    assert rows_read(plan(full.prod, copy_out.removeprefix("COPY (").partition(") TO STDOUT")[0])) == 3
    assert rows_read(plan(full.consulta, statements.delete(theirs, part, keys).as_string())) == 3


def rows_read(node: dict[str, Any]) -> int:
    """From tables, by all scans below the node."""
    is_scan = "Scan" in node["Node Type"] and node.get("Relation Name") == "items"
    own = round(node["Actual Rows"] * node["Actual Loops"]) if is_scan else 0
    return own + sum(rows_read(child) for child in node.get("Plans", []))


def reads(rows: TableSlice, chunk: Chunk) -> list[str]:
    """What the engine asks of a side for a chunk: the rows, their digest and their hashes."""
    asked = [statements.copy_out, statements.digest, statements.hashes]
    if rows.is_source:
        asked.append(statements.copy_out_hashed)
    return [
        ask(rows, chunk.range).as_string().removeprefix("COPY (").removesuffix(") TO STDOUT (FORMAT binary)")
        for ask in asked
    ]


def test_the_count_and_the_ranges_come_from_the_index_alone(sides: Sides) -> None:
    sides.both(f"CREATE TABLE items (id bigint PRIMARY KEY, {COLUMNS.format(liquidation='bigint')})")
    sides.both("CREATE INDEX by_range ON items (liquidation_id, id)")
    sides.prod.execute(ROWS.format(key="g"))
    sides.prod.execute("CHECKPOINT")  # rows whose commit isn't on the disk yet are not visible to all
    sides.prod.server.psql("VACUUM items", sides.prod.name)
    with sides.open(spec()) as copy:
        declare = statements.declare(copy._source).as_string()
        for statement in (statements.count(copy._source).as_string(), declare.partition(" FOR ")[2]):
            assert explained(sides.prod, statement) == [("by_range", 0)]


def test_without_an_index_a_copy_works_and_the_preview_says_what_to_create_where(sides: Sides) -> None:
    sides.both(f"CREATE TABLE items (id bigint PRIMARY KEY, {COLUMNS.format(liquidation='bigint')})")
    sides.prod.execute(ROWS.format(key="g"))
    sides.copy_proven(spec(), chunk_rows=1_200)
    sides.prod.execute("UPDATE items SET amount = 0 WHERE id % 1000 = 42")
    sides.copy_proven(spec(), chunk_rows=1_200)
    sides.assert_same()
    advised = "CREATE INDEX CONCURRENTLY ON public.items (liquidation_id, id)"
    assert advice(sides) == (Advice("prod", advised), Advice("consulta", advised))
    sides.consulta.server.psql(advised, sides.consulta.name)
    assert advice(sides) == (Advice("prod", advised),)


def advice(sides: Sides, table: str = "items", key: tuple[str, ...] = ()) -> tuple[Advice, ...]:
    return preview(engine(sides.prod.url), engine(sides.consulta.url), spec(table, key=key), 42).advice


ADVISED = {
    "composite": (
        'CREATE TABLE items ("order" int, b text, liquidation_id int, "C c" int,'
        ' PRIMARY KEY ("order", "C c"))',
        'CREATE INDEX CONCURRENTLY ON public.items (liquidation_id, "order", "C c")',
    ),
    "partitioned": (
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int) PARTITION BY RANGE (id);"
        "CREATE TABLE one PARTITION OF items DEFAULT",
        "CREATE INDEX ON public.items (liquidation_id, id)",
    ),
    "an index in another order": (
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int);"
        "CREATE INDEX ON items (id, liquidation_id); CREATE INDEX ON items (liquidation_id, id DESC)",
        "CREATE INDEX CONCURRENTLY ON public.items (liquidation_id, id)",
    ),
    "an index with an expression between": (
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int);"
        "CREATE INDEX ON items (liquidation_id, (id + 0), id)",
        "CREATE INDEX CONCURRENTLY ON public.items (liquidation_id, id)",
    ),
    "a partial index": (
        "CREATE TABLE items (id int PRIMARY KEY, liquidation_id int);"
        "CREATE INDEX ON items (liquidation_id, id) WHERE id > 10",
        "CREATE INDEX CONCURRENTLY ON public.items (liquidation_id, id)",
    ),
}


@pytest.mark.parametrize(("ddl", "statement"), ADVISED.values(), ids=ADVISED.keys())
def test_the_advised_index_can_be_created_as_written_and_is_then_enough(
    sides: Sides, ddl: str, statement: str
) -> None:
    sides.both(ddl)
    assert advice(sides) == (Advice("prod", statement), Advice("consulta", statement))
    for side in (sides.prod, sides.consulta):
        side.server.psql(statement, side.name)
    assert advice(sides) == ()


def test_an_index_of_another_collation_than_the_sides_are_compared_by_is_not_taken_for_one(
    sides: Sides,
) -> None:
    for side, collation in ((sides.prod, "pg_c_utf8"), (sides.consulta, "pg_unicode_fast")):
        side.execute(f"""
            CREATE TABLE items (id text COLLATE {collation} PRIMARY KEY, liquidation_id int);
            CREATE INDEX ON items (liquidation_id, id)
        """)
    statement = 'CREATE INDEX CONCURRENTLY ON public.items (liquidation_id, id COLLATE "C")'
    assert advice(sides) == (Advice("prod", statement), Advice("consulta", statement))
    sides.prod.server.psql(statement, sides.prod.name)
    assert advice(sides) == (Advice("consulta", statement),)


def test_a_view_is_not_advised_an_index(sides: Sides) -> None:
    sides.prod.execute("CREATE VIEW items AS SELECT 1 AS id, 42 AS liquidation_id")
    sides.consulta.execute("""
        CREATE TABLE items (liquidation_id int, id int PRIMARY KEY);
        CREATE INDEX ON items (liquidation_id, id) INCLUDE (id)
    """)
    assert advice(sides) == ()


def test_the_reserved_words_are_those_of_the_server(sides: Sides) -> None:
    words = sides.prod.rows("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')")
    assert {word for (word,) in words} == RESERVED
