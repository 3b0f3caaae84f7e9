"""Each chunk is read by the index on (liquidation column, key), wherever it lies among other liquidations."""

from __future__ import annotations

import json

import psycopg
import pytest

from copier import Copy, statements
from tests.copying import Sides, spec

TABLE = """
    CREATE TABLE items (
        id bigint PRIMARY KEY, liquidation_id {liquidation} NOT NULL,
        employee_id bigint NOT NULL,
        concept_code text NOT NULL, description text, amount numeric(14,2) NOT NULL,
        currency char(3) NOT NULL,
        period date NOT NULL, metadata jsonb, created_at timestamptz NOT NULL);
    CREATE INDEX items_liquidation_id_id_idx ON items (liquidation_id, id);
"""
# As the bench: half of the liquidation lies among others, one row in three, the other half in one piece,
# and then rows of others to the end.
ROWS = """
    INSERT INTO items
    SELECT g, CASE WHEN g <= 100000 AND g % 3 = 0 THEN 42 WHEN g > 133000 AND g <= 166000 THEN 42
                   ELSE 30 + g % 7 + CASE WHEN g % 2 = 0 THEN 0 ELSE 20 END END,
           g % 50000, 'C' || g % 400, 'Concepto de liquidación ' || md5(g::text), g / 100.0, 'ARS',
           date '2024-01-01' + (g % 24) * 30, jsonb_build_object('line', g % 5000), now()
      FROM generate_series(1, 200000) g;
    ANALYZE items;
"""


def index_of(url: str, statement: str) -> tuple[str, int]:
    """The index of the only scan in the plan, and how many rows it read in vain."""
    with psycopg.connect(url) as connection:
        connection.execute("SET max_parallel_workers_per_gather = 0")
        found = connection.execute(f"EXPLAIN (ANALYZE, FORMAT json) {statement}".encode()).fetchone()
    assert found is not None
    node = json.loads(json.dumps(found[0]))[0]["Plan"]
    while "Plans" in node and node["Node Type"] != "Bitmap Heap Scan":
        (node,) = node["Plans"]
    vain = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    if node["Node Type"] == "Bitmap Heap Scan":
        (node,) = node["Plans"]
    return node.get("Index Name", node["Node Type"]), vain


@pytest.mark.parametrize("liquidation", ["bigint", "numeric"])
def test_every_chunk_reads_by_the_index_and_reads_no_row_in_vain(sides: Sides, liquidation: str) -> None:
    sides.both(TABLE.format(liquidation=liquidation))
    sides.prod.execute(ROWS)
    with sides.open(spec(), chunk_rows=10_000) as copy:
        ranges = copy.plan().ranges
        assert len(ranges) == 7
        for part in (ranges[0], ranges[2], ranges[3], ranges[-1]):
            for reading in reads(copy, part.number):
                assert index_of(sides.prod.url, reading) == ("items_liquidation_id_id_idx", 0)


def reads(copy: Copy, number: int) -> list[str]:
    """What the engine asks of prod for a chunk: the rows, and their digest."""
    part = copy.plan().ranges[number - 1]
    keys, spec = copy._source_keys, copy.spec
    copy_out = statements.copy_out(spec.source_table, copy.matched, keys, 42, part).as_string()
    select = copy_out.removeprefix("COPY (").removesuffix(") TO STDOUT (FORMAT binary)")
    digest = statements.digest(spec.source_table, copy.matched, keys, 42, part, of_source=True).as_string()
    return [select, digest]


def test_the_plan_comes_from_the_index_too(sides: Sides) -> None:
    sides.both(TABLE.format(liquidation="bigint"))
    sides.prod.execute(ROWS)
    sides.prod.execute("CHECKPOINT")  # rows whose commit isn't on the disk yet are not visible to all
    sides.prod.server.psql("VACUUM items", sides.prod.name)
    with sides.open(spec()) as copy:
        for statement in (
            statements.count(copy.spec.source_table, copy._source_keys, 42),
            statements.boundaries(copy.spec.source_table, copy._source_keys, 42, 10_000),
        ):
            index, vain = index_of(sides.prod.url, statement.as_string())
            assert (index, vain) == ("items_liquidation_id_id_idx", 0)
